//! Whether an installed binary still is what its manifest says. All functions block.
//!
//! Quick: the fingerprint (size, times, inode) against the manifest. Full: every byte, and what the binary says of its build.

use burrow_protocol::toolchain::{ToolState, VerifiedBy};
use camino::Utf8Path;

use super::buildinfo::{self, BuildInfo};
use super::compat::Compat;
use super::environment::BuildTarget;
use super::generations::{InstalledTool, Voucher};
use super::store::{Fingerprint, Store};

/// In what condition the binary and the link of an installed tool are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// As the manifest says.
    Sound,
    /// The binary is, its link is not.
    Unlinked,
    /// Its content is the recorded one, but it was touched since, or copied: this is its fingerprint now.
    Touched(Fingerprint),
    /// Its content is another.
    Changed,
    /// It is gone.
    Missing,
}

impl Condition {
    /// Whether the binary has the content that the manifest names.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Sound | Self::Unlinked | Self::Touched(_) => true,
            Self::Changed | Self::Missing => false,
        }
    }
}

/// How carefully a binary is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// By its fingerprint alone: where that differs, the binary counts as changed.
    Glance,
    /// By its fingerprint; read only where that differs.
    Quick,
    /// Every byte.
    Full,
}

/// The condition of the tool `name`, whose link lies in `bin`.
pub(crate) fn condition(store: &Store, bin: &Utf8Path, name: &str, tool: &InstalledTool, depth: Depth) -> Condition {
    let path = store.path(&tool.sha256, name);
    if tool.refuted {
        return Condition::Changed;
    }
    let Some(fingerprint) = Fingerprint::of(&path) else { return Condition::Missing };
    if fingerprint != tool.fingerprint && depth == Depth::Glance {
        return Condition::Changed;
    }
    if fingerprint != tool.fingerprint || depth == Depth::Full {
        match store.compare(&tool.sha256, name) {
            None => return Condition::Changed,
            Some(_) if depth == Depth::Full && !is_as_built(&path, name, tool) => return Condition::Changed,
            Some(fingerprint) if fingerprint != tool.fingerprint => return Condition::Touched(fingerprint),
            Some(_) => {}
        }
    }
    if bin.join(name).read_link_utf8().is_ok_and(|target| target == path) {
        Condition::Sound
    } else {
        Condition::Unlinked
    }
}

/// Whether the binary says of its build what it should, and the sum on record is the one of the compatibility table.
fn is_as_built(path: &Utf8Path, name: &str, tool: &InstalledTool) -> bool {
    let in_table = Compat::built_in().sum_of(&tool.module, &tool.version);
    let checked = match in_table {
        Some(sum) if sum != tool.h1 => Err(format!("its module's sum is {}, the table has {sum}", tool.h1)),
        _ => check_build(path, &tool.build(), &BuildTarget::host()),
    };
    if let Err(problem) = &checked {
        tracing::warn!(tool = name, problem, "a binary is not what its record says");
    }
    checked.is_ok()
}

/// What a binary has to say of its build.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Build<'a> {
    pub(crate) package: &'a str,
    pub(crate) module: &'a str,
    pub(crate) version: &'a str,
    pub(crate) h1: &'a str,
    /// The Go that built it: `go1.26.8`.
    pub(crate) go: &'a str,
}

impl InstalledTool {
    /// What its binary has to say of its build.
    pub(crate) fn build(&self) -> Build<'_> {
        Build {
            package: &self.package,
            module: &self.module,
            version: &self.version,
            h1: &self.h1,
            go: &self.built_with,
        }
    }
}

/// Holds what the binary at `path` says of its build against what it should be. Starts no process.
///
/// # Errors
/// The first difference, in words.
pub(crate) fn check_build(path: &Utf8Path, expected: &Build<'_>, target: &BuildTarget) -> Result<(), String> {
    let info = buildinfo::read(path).map_err(|error| crate::coded::with_causes(&error))?;
    compare_build(&info, expected, target)
}

fn compare_build(info: &BuildInfo, build: &Build<'_>, target: &BuildTarget) -> Result<(), String> {
    let setting = |name: &str| info.settings.get(name).map_or("", String::as_str);
    for (what, found, expected) in [
        ("package", info.path.as_str(), build.package),
        ("module", &info.module.path, build.module),
        ("version", &info.module.version, build.version),
        ("sum", &info.module.sum, build.h1),
        ("Go", info.go.split(' ').next().unwrap_or_default(), build.go),
        ("GOOS", setting("GOOS"), &target.goos),
        ("GOARCH", setting("GOARCH"), &target.goarch),
        ("CGO_ENABLED", setting("CGO_ENABLED"), "0"),
        ("-trimpath", setting("-trimpath"), "true"),
    ] {
        if found != expected {
            return Err(format!("its {what} is {found:?}, {expected:?} is expected"));
        }
    }
    // What changes the code of a build that has all of the above right.
    for unwanted in ["-tags", "-ldflags", "-gcflags", "-asmflags", "-race", "-cover", "GOEXPERIMENT", "GOFIPS140"] {
        // Go 1.24 and newer writes the FIPS setting's default as well.
        if !matches!(setting(unwanted), "" | "off") {
            return Err(format!("it was built with {unwanted} {:?}", setting(unwanted)));
        }
    }
    // Go before 1.23 does not write the level for arm64.
    match target.level() {
        Some((name, level)) if !setting(name).is_empty() && setting(name) != level => {
            Err(format!("its {name} is {:?}, {level:?} is expected", setting(name)))
        }
        _ => Ok(()),
    }
}

/// What a sound tool's state rests on. `locked` is the lock file's row for this Go and platform.
pub(crate) fn standing(tool: &InstalledTool, locked: Option<&str>) -> (ToolState, Option<VerifiedBy>) {
    match tool.voucher {
        Voucher::Nobody => (ToolState::Unverified, None),
        _ if locked == Some(tool.sha256.as_str()) => (ToolState::Verified, Some(VerifiedBy::Sha256)),
        Voucher::Table | Voucher::ChecksumDatabase => (ToolState::Verified, Some(VerifiedBy::H1)),
        // Its row is gone from the lock file, and nothing else vouches for it.
        Voucher::LockFile => (ToolState::Unverified, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::buildinfo::Module;
    use super::*;

    fn tool(voucher: Voucher) -> InstalledTool {
        let file = tempfile::NamedTempFile::new().unwrap();
        InstalledTool {
            module: "a".into(),
            package: "a/cmd".into(),
            version: "v1.2.3".into(),
            h1: "h1:x".into(),
            voucher,
            sha256: "ff".into(),
            built_with: "go1.26.8".into(),
            differs_from: None,
            refuted: false,
            fingerprint: Fingerprint::of(Utf8Path::from_path(file.path()).unwrap()).unwrap(),
        }
    }

    #[test]
    fn each_part_of_the_build_is_compared() {
        let good = BuildInfo {
            go: "go1.26.8 X:jsonv2".into(),
            path: "a/cmd".into(),
            module: Module { path: "a".into(), version: "v1.2.3".into(), sum: "h1:x".into() },
            dependencies: Vec::new(),
            settings: [
                ("GOOS", "linux"),
                ("GOARCH", crate::toolchain::environment::goarch()),
                ("CGO_ENABLED", "0"),
                ("-trimpath", "true"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        };
        let tool = tool(Voucher::Table);
        let host = BuildTarget::host();
        assert_eq!(compare_build(&good, &tool.build(), &host), Ok(()));
        let other = BuildTarget { goarch: "riscv64".into(), ..host.clone() };
        assert!(compare_build(&good, &tool.build(), &other).is_err(), "another platform");
        type Change = fn(&mut BuildInfo);
        let changes: [(&str, Change); 8] = [
            ("tags", |info| {
                info.settings.insert("-tags".into(), "evil".into());
            }),
            ("experiment", |info| {
                info.settings.insert("GOEXPERIMENT".into(), "x".into());
            }),
            ("package", |info| info.path = "evil".into()),
            ("version", |info| info.module.version = "v1.2.4".into()),
            ("sum", |info| info.module.sum = "h1:y".into()),
            ("Go", |info| info.go = "go1.26.7".into()),
            ("CGO_ENABLED", |info| {
                info.settings.insert("CGO_ENABLED".into(), "1".into());
            }),
            ("-trimpath", |info| {
                info.settings.remove("-trimpath");
            }),
        ];
        for (what, change) in changes {
            let mut other = good.clone();
            change(&mut other);
            let said = compare_build(&other, &tool.build(), &host).unwrap_err();
            assert!(said.to_lowercase().contains(&what.to_lowercase()), "{what}: {said}");
        }
    }

    #[test]
    fn what_a_tools_state_rests_on() {
        let by = |by| (ToolState::Verified, Some(by));
        for (voucher, locked, expected, why) in [
            (Voucher::Table, Some("ff"), by(VerifiedBy::Sha256), "the lock file names this binary"),
            (Voucher::Table, None, by(VerifiedBy::H1), "a missing platform row is no drift"),
            (Voucher::ChecksumDatabase, None, by(VerifiedBy::H1), "the database vouches for the module"),
            (Voucher::LockFile, Some("ff"), by(VerifiedBy::Sha256), "found in the store by the lock file"),
            (Voucher::LockFile, None, (ToolState::Unverified, None), "its row is gone"),
            (
                Voucher::Nobody,
                Some("ff"),
                (ToolState::Unverified, None),
                "a row that its own build wrote proves nothing",
            ),
        ] {
            assert_eq!(standing(&tool(voucher), locked), expected, "{why}");
        }
    }
}
