//! The environment in which tools are built: made from nothing, with what reaches the user's modules passed on.
//!
//! Why from nothing: `GOFLAGS=-toolexec=...` runs programs, `-mod=vendor`, GOOS, GOEXPERIMENT and their like change or break
//! the build, and `go env -w` sets all of them in a file. So that file is switched off (GOENV=off) and the few settings that
//! say where modules come from, and with which credentials, are read and passed on by ourselves.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::go::EffectiveGo;

/// Settings of Go that say where modules come from and who vouches for them.
const MODULE_SETTINGS: [&str; 8] =
    ["GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOAUTH", "GOINSECURE", "GOVCS"];

/// Variables of the caller that a download may need: identity, credentials, proxies, certificates.
const PASSED_ON: [&str; 22] = [
    "HOME",
    "USER",
    "LOGNAME",
    "XDG_CONFIG_HOME",
    "TMPDIR",
    "NETRC",
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// The folders of one operation; all of them are its own.
#[derive(Clone, Debug)]
pub(crate) struct BuildFolders {
    /// Holds the others.
    pub(crate) root: Utf8PathBuf,
}

impl BuildFolders {
    /// GOPATH, with the module cache and the checksum database's state in it.
    pub(crate) fn gopath(&self) -> Utf8PathBuf {
        self.root.join("gopath")
    }

    /// GOMODCACHE.
    pub(crate) fn modules(&self) -> Utf8PathBuf {
        self.gopath().join("pkg/mod")
    }

    /// GOTMPDIR, which has to exist.
    pub(crate) fn temporary(&self) -> Utf8PathBuf {
        self.root.join("tmp")
    }

    /// Where `go install` puts the binary of the tool `name`, whatever it calls it. Go takes a GOBIN for its own platform
    /// alone.
    pub(crate) fn bin(&self, name: &str, target: &BuildTarget) -> Utf8PathBuf {
        if target.is_host() {
            self.root.join("bin").join(name)
        } else {
            self.gopath().join("bin").join(format!("{}_{}", target.goos, target.goarch))
        }
    }
}

/// The platform that a tool is built for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BuildTarget {
    pub(crate) goos: String,
    pub(crate) goarch: String,
}

impl BuildTarget {
    /// The platform that this process runs on.
    pub(crate) fn host() -> Self {
        Self { goos: std::env::consts::OS.to_owned(), goarch: goarch().to_owned() }
    }

    pub(crate) fn is_host(&self) -> bool {
        *self == Self::host()
    }

    /// As Go writes it: `linux/amd64`.
    pub(crate) fn platform(&self) -> String {
        format!("{}/{}", self.goos, self.goarch)
    }

    /// The setting for the processor's level, with the lowest, so that one binary runs everywhere. None where there are no
    /// levels, or none that Burrow fixes.
    pub(crate) fn level(&self) -> Option<(&'static str, &'static str)> {
        match self.goarch.as_str() {
            "amd64" => Some(("GOAMD64", "v1")),
            "arm64" => Some(("GOARM64", "v8.0")),
            _ => None,
        }
    }
}

/// Where the modules of a build come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Modules {
    /// Wherever the user's Go takes them from.
    Users,
    /// These folders in the layout of GOPROXY, and nowhere else. No checksum database is within reach: what comes from here
    /// is held against the compatibility table and the tools' own go.sum.
    Folders(Vec<Utf8PathBuf>),
}

impl Modules {
    /// The folder for these, of a work folder's: what came from one place is not mixed with what came from another.
    pub(crate) fn folder(&self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Folders(_) => "folders",
        }
    }
}

/// The value of a setting of Go for a caller: its environment, the file of `go env -w`, `GOROOT/go.env`. Blocking.
pub(crate) fn go_setting(env: &BTreeMap<String, String>, goroot: &Utf8Path, name: &str) -> Option<String> {
    let from_env = env.get(name).filter(|value| !value.is_empty()).cloned();
    from_env.or_else(|| setting_in(&user_settings(env)?, name)).or_else(|| setting_in(&goroot.join("go.env"), name))
}

/// The file of `go env -w`; none where it is switched off.
fn user_settings(env: &BTreeMap<String, String>) -> Option<Utf8PathBuf> {
    let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
    match set("GOENV").map(String::as_str) {
        Some("off") => None,
        Some(path) => Some(path.into()),
        None => {
            let config = set("XDG_CONFIG_HOME").map(Utf8PathBuf::from);
            let config = config.or_else(|| Some(Utf8Path::new(set("HOME")?).join(".config")))?;
            Some(config.join("go/env"))
        }
    }
}

/// `name`'s value in a file of `NAME=VALUE` lines.
fn setting_in(path: &Utf8Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('=').map(str::to_owned));
    value.filter(|value| !value.is_empty())
}

/// The environment of a `go` that downloads or builds a tool. Blocking: it reads the caller's settings of Go.
pub(crate) fn for_build(
    caller: &BTreeMap<String, String>,
    workspace: &Utf8Path,
    go: &EffectiveGo,
    folders: &BuildFolders,
    modules: &Modules,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for name in PASSED_ON {
        if let Some(value) = caller.get(name) {
            env.insert(name.to_owned(), value.clone());
        }
    }
    for name in MODULE_SETTINGS {
        if let Some(value) = go_setting(caller, &go.local.root, name) {
            env.insert(name.to_owned(), value);
        }
    }
    let mut set = |name: &str, value: String| env.insert(name.to_owned(), value);
    if let Modules::Folders(folders) = modules {
        let proxies: Vec<_> = folders.iter().map(|folder| format!("file://{folder}")).collect();
        set("GOPROXY", proxies.join(","));
        set("GOSUMDB", "off".to_owned());
        // A private module would be fetched past the proxy.
        for name in ["GOPRIVATE", "GONOPROXY", "GONOSUMDB"] {
            set(name, String::new());
        }
    }
    set("PATH", path(caller.get("PATH").map_or("", String::as_str), workspace, go));
    set("GOENV", "off".to_owned());
    set("GO111MODULE", "on".to_owned());
    set("GOWORK", "off".to_owned());
    set("GOTOOLCHAIN", go.toolchain());
    set("GOPATH", folders.gopath().into_string());
    set("GOMODCACHE", folders.modules().into_string());
    set("GOCACHE", folders.root.join("cache").into_string());
    set("GOTMPDIR", folders.temporary().into_string());
    // So that the folders can be removed again; it does not reach the binary.
    set("GOFLAGS", "-modcacherw".to_owned());
    set("CGO_ENABLED", "0".to_owned());
    set("GIT_TERMINAL_PROMPT", "0".to_owned());
    env
}

/// What a build for `target` has besides.
pub(crate) fn for_target(target: &BuildTarget) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    if !target.is_host() {
        env.insert("GOOS".to_owned(), target.goos.clone());
        env.insert("GOARCH".to_owned(), target.goarch.clone());
    }
    if let Some((name, level)) = target.level() {
        env.insert(name.to_owned(), level.to_owned());
    }
    env
}

/// The processor as Go writes it.
pub(crate) fn goarch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Go's own folder, then those of the caller's PATH that are absolute and outside of the workspace; of both those without a
/// `go1.*`: for an exact GOTOOLCHAIN, Go runs such a program from PATH without checking it. `go` itself is started by its path.
fn path(caller: &str, workspace: &Utf8Path, go: &EffectiveGo) -> String {
    let own = go.bin();
    let others = caller.split(':').map(Utf8Path::new);
    let others = others.filter(|folder| folder.is_absolute() && !folder.starts_with(workspace));
    let folders = std::iter::once(own.as_path()).chain(others).filter(|folder| !has_versioned_go(folder));
    folders.map(Utf8Path::as_str).collect::<Vec<_>>().join(":")
}

fn has_versioned_go(folder: &Utf8Path) -> bool {
    let Ok(entries) = folder.read_dir_utf8() else { return true };
    entries.flatten().any(|entry| entry.file_name().starts_with("go1."))
}

#[cfg(test)]
mod tests {
    use super::super::go::GoInstall;
    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn write(path: &Utf8Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::durable::replace(path, text.as_bytes()).unwrap();
    }

    #[test]
    fn hostile_settings_do_not_reach_the_build() {
        let (_keep, root) = folder();
        write(&root.join("home/.config/go/env"), "GOFLAGS=-toolexec=/evil\nGOPROXY=https://user.example\nGOOS=plan9\n");
        write(&root.join("go1/go1.99.0"), "");
        write(&root.join("clean/git"), "");
        write(&root.join("sdk/bin/go"), "");
        let home = root.join("home");
        let path = format!("{root}/go1:{root}/clean:relative:{root}/work/bin");
        let caller = env(&[
            ("HOME", home.as_str()),
            ("PATH", &path),
            ("GOFLAGS", "-mod=vendor"),
            ("GOARCH", "wasm"),
            ("GOEXPERIMENT", "x"),
            ("GODEBUG", "x=1"),
            ("CGO_ENABLED", "1"),
            ("CGO_CFLAGS", "-fplugin=x"),
            ("HTTPS_PROXY", "http://proxy.example"),
            ("GOPRIVATE", "corp.example"),
            ("LD_PRELOAD", "/evil.so"),
        ]);
        let local = GoInstall { root: root.join("sdk"), version: "1.26.8".parse().unwrap() };
        let go = EffectiveGo { version: local.version, local };
        let folders = BuildFolders { root: root.join("tmp") };
        let built = for_build(&caller, &root.join("work"), &go, &folders, &Modules::Users);

        assert_eq!(built["PATH"], format!("{root}/sdk/bin:{root}/clean"), "no go1.*, nothing relative, no workspace");
        write(&root.join("sdk/bin/go1.27.0"), "");
        let built = for_build(&caller, &root.join("work"), &go, &folders, &Modules::Users);
        assert_eq!(built["PATH"], format!("{root}/clean"), "no go1.* beside Go itself either");
        assert_eq!(built["GOPROXY"], "https://user.example", "from the file of `go env -w`");
        assert_eq!(built["GOPRIVATE"], "corp.example");
        assert_eq!(built["HTTPS_PROXY"], "http://proxy.example");
        assert_eq!(built["GOFLAGS"], "-modcacherw");
        assert_eq!((built["GOENV"].as_str(), built["GOTOOLCHAIN"].as_str()), ("off", "local"));
        for name in ["GOOS", "GOARCH", "GOEXPERIMENT", "GODEBUG", "CGO_CFLAGS", "LD_PRELOAD"] {
            assert!(!built.contains_key(name), "{name} is not passed on");
        }
        let modules = Modules::Folders(vec!["/a".into(), "/b".into()]);
        let offline = for_build(&caller, &root.join("work"), &go, &folders, &modules);
        assert_eq!((offline["GOPROXY"].as_str(), offline["GOSUMDB"].as_str()), ("file:///a,file:///b", "off"));
        assert_eq!(offline["GOPRIVATE"], "", "nothing is fetched past the folders");
    }

    #[test]
    fn another_platform_is_named_with_its_level() {
        let target = BuildTarget { goos: "linux".into(), goarch: "arm64".into() };
        let other = BuildTarget { goos: "darwin".into(), goarch: "amd64".into() };
        assert_eq!(for_target(&other), env(&[("GOOS", "darwin"), ("GOARCH", "amd64"), ("GOAMD64", "v1")]));
        assert!(for_target(&target).contains_key("GOARM64"));
        assert!(!for_target(&BuildTarget::host()).contains_key("GOOS"), "Go's own platform is not named");
    }

    #[test]
    fn a_setting_comes_from_the_nearest_place() {
        let (_keep, root) = folder();
        write(&root.join("sdk/go.env"), "# comment\nGOTOOLCHAIN=auto\n");
        write(&root.join("user/env"), "GOTOOLCHAIN=go1.25.0\n");
        let user = root.join("user/env");
        let ask = |pairs: &[(&str, &str)]| go_setting(&env(pairs), &root.join("sdk"), "GOTOOLCHAIN");
        for (pairs, expected, why) in [
            (vec![("GOENV", user.as_str()), ("GOTOOLCHAIN", "local")], "local", "the environment first"),
            (vec![("GOENV", user.as_str()), ("GOTOOLCHAIN", "")], "go1.25.0", "empty is as unset"),
            (vec![("GOENV", "off")], "auto", "then Go's own file"),
        ] {
            assert_eq!(ask(&pairs).as_deref(), Some(expected), "{why}");
        }
        assert_eq!(go_setting(&env(&[]), &root.join("nowhere"), "GOTOOLCHAIN"), None);
    }
}
