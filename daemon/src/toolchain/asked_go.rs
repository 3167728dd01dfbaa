//! A `go` on PATH that belongs to no Go installation, such as a version manager's shim or a script: it is asked for its Go.
//!
//! State: the last answer, good for as long as the program, what chooses a version for it, and the caller's settings stay as
//! they are. A failure is good for a minute, so that a program that hangs does not hold up every look.
//!
//! Invariants: it is run for a trusted caller alone; it has a deadline; neither Go nor a version manager may download
//! anything for it. It runs in the workspace, as version managers choose by folder, and so gives the Go that a terminal has
//! there.
//!
//! All functions block, and run on a thread of the runtime for that.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::go::{self, GoInstall};
use super::store::Fingerprint;
use crate::coded::with_causes;
use crate::process::Caller;
use crate::process::run::{self, CommandLine};

/// How long it may take. Shims take some tenths of a second.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long a failure counts.
const FAILURE_LASTS: Duration = Duration::from_secs(60);
/// Files by which version managers choose, in a folder or above it.
const CHOOSING: [&str; 6] = [".tool-versions", "mise.toml", ".mise.toml", "mise.local.toml", ".go-version", "go.mod"];
/// The same for all folders of a user, below the home directory.
const CHOOSING_AT_HOME: [&str; 3] = [".tool-versions", ".config/mise/config.toml", ".goenv/version"];
/// Settings of version managers begin so.
const MANAGERS: [&str; 3] = ["ASDF_", "MISE_", "GOENV_"];
/// What keeps Go and version managers from downloading.
const NO_DOWNLOADS: [(&str, &str); 5] = [
    ("GOTOOLCHAIN", "local"),
    ("GOPROXY", "off"),
    ("MISE_AUTO_INSTALL", "false"),
    ("MISE_EXEC_AUTO_INSTALL", "false"),
    ("MISE_NOT_FOUND_AUTO_INSTALL", "false"),
];

/// The last answer in one workspace. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct AskedGo(Arc<Mutex<Option<Answer>>>);

#[derive(Debug)]
struct Answer {
    question: Question,
    at: Instant,
    go: Result<GoInstall, String>,
}

/// All that an answer depends on.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    program: Utf8PathBuf,
    fingerprint: Option<Fingerprint>,
    /// The files by which a version is chosen, as far as they are there.
    files: Vec<(Utf8PathBuf, Fingerprint)>,
    settings: BTreeMap<String, String>,
}

impl AskedGo {
    /// The Go that `program` stands for in `workspace`.
    ///
    /// # Errors
    /// Why nobody can say, to be read after "it belongs to no Go installation, and ".
    pub(crate) fn ask(&self, program: &Utf8Path, workspace: &Utf8Path, caller: &Caller) -> Result<GoInstall, String> {
        let question = Question::new(program, workspace, &caller.env);
        // Held while it is asked: who asks the same at that time has the answer then.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = last.as_ref().filter(|answer| answer.question == question) {
            match &answer.go {
                // Its version is read again, as it may have been replaced.
                Ok(known) if known.root.join("bin/go").is_file() => {
                    return Ok(go::installed(&known.root).unwrap_or_else(|| known.clone()));
                }
                Err(why) if answer.at.elapsed() < FAILURE_LASTS => return Err(why.clone()),
                _ => {}
            }
        }
        if !caller.trusted {
            return Err("it is not run, since the folder is not trusted".to_owned());
        }
        let go = run(program, workspace, &caller.env);
        tracing::info!(%program, answer = ?go, "a program was asked for its Go");
        *last = Some(Answer { question, at: Instant::now(), go: go.clone() });
        go
    }
}

impl Question {
    fn new(program: &Utf8Path, workspace: &Utf8Path, env: &BTreeMap<String, String>) -> Self {
        let around = workspace.ancestors().flat_map(|folder| CHOOSING.map(|name| folder.join(name)));
        let home = env.get("HOME").map(Utf8Path::new);
        let at_home = home.into_iter().flat_map(|home| CHOOSING_AT_HOME.map(|name| home.join(name)));
        let files = around.chain(at_home).filter_map(|file| Some((file.clone(), real_fingerprint(&file)?)));
        let counts = |name: &str| matches!(name, "PATH" | "HOME") || MANAGERS.iter().any(|head| name.starts_with(head));
        let settings = env.iter().filter(|(name, _)| counts(name));
        Self {
            program: program.to_owned(),
            fingerprint: real_fingerprint(program),
            files: files.collect(),
            settings: settings.map(|(name, value)| (name.clone(), value.clone())).collect(),
        }
    }
}

/// The fingerprint of what a path leads to: a shim is often a link.
fn real_fingerprint(path: &Utf8Path) -> Option<Fingerprint> {
    Fingerprint::of(&path.canonicalize_utf8().ok()?)
}

fn run(program: &Utf8Path, workspace: &Utf8Path, caller: &BTreeMap<String, String>) -> Result<GoInstall, String> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|error| error.to_string())?;
    let command = CommandLine {
        program: program.to_string(),
        args: ["env", "GOVERSION", "GOROOT"].map(str::to_owned).to_vec(),
        env: environment(caller),
        cwd: workspace.to_owned(),
    };
    let failed = |why: &str| format!("`go env GOVERSION GOROOT` there {why}");
    let output = runtime.block_on(run::output(command, DEADLINE));
    let output = output.map_err(|error| failed(&format!("failed: {}", with_causes(&error))))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
        return Err(failed(&format!("failed: {}", crate::process::masked(last, &[]))));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    let mut lines = said.lines().map(str::trim);
    let (Some(version), Some(root)) = (lines.next(), lines.next().map(Utf8Path::new)) else {
        return Err(failed("did not answer with a version and a folder"));
    };
    if !root.is_absolute() || !root.join("bin/go").is_file() {
        return Err(failed(&format!("names {root}, which has no bin/go")));
    }
    let told = || version.parse().ok().map(|version| GoInstall { root: root.to_owned(), version });
    go::installed(root).or_else(told).ok_or_else(|| failed(&format!("names no version of Go, but {version:?}")))
}

/// The caller's environment without what changes how Go works, and without downloads.
fn environment(caller: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let of_go = |name: &str| name.starts_with("GO") && !name.starts_with("GOENV_") && name != "GOPATH";
    let kept = caller.iter().filter(|(name, _)| !of_go(name) && *name != "GOENV_AUTO_INSTALL");
    let mut env: BTreeMap<_, _> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, value) in NO_DOWNLOADS.into_iter().chain([("GOENV", "off"), ("GOWORK", "off")]) {
        env.insert(name.to_owned(), value.to_owned());
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_callers_go_and_no_download() {
        let caller = [
            ("GOFLAGS", "-toolexec=x"),
            ("GOTOOLCHAIN", "auto"),
            ("GOENV_VERSION", "1.26.8"),
            ("GOENV_AUTO_INSTALL", "1"),
            ("MISE_AUTO_INSTALL", "true"),
            ("HOME", "/home/ann"),
        ];
        let env = environment(&caller.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let value = |name: &str| env.get(name).map(String::as_str);
        assert_eq!((value("GOFLAGS"), value("GOTOOLCHAIN"), value("GOENV")), (None, Some("local"), Some("off")));
        assert_eq!((value("GOENV_VERSION"), value("GOENV_AUTO_INSTALL")), (Some("1.26.8"), None));
        assert_eq!((value("MISE_AUTO_INSTALL"), value("HOME")), (Some("false"), Some("/home/ann")));
    }

    #[test]
    fn the_answer_depends_on_what_chooses_a_version() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let workspace = root.join("a/b");
        crate::durable::create_dir(&workspace).unwrap();
        let env = |value: &str| [("MISE_GO_VERSION".to_owned(), value.to_owned())].into();
        let question = || Question::new("/bin/sh".into(), &workspace, &env("1.26"));
        let before = question();
        assert_eq!(before, question());
        assert_ne!(before, Question::new("/bin/sh".into(), &workspace, &env("1.25")), "a setting of a version manager");
        assert_ne!(before, Question::new("/bin/cat".into(), &workspace, &env("1.26")), "another program");
        crate::durable::replace(&root.join("a/.tool-versions"), b"golang 1.26.8\n").unwrap();
        assert_ne!(before, question(), "a file above the workspace");
    }
}
