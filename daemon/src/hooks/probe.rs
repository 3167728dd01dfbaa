//! What the user's shell sets: its environment is asked for once, and kept in memory.
//!
//! A Dev Containers tool gives hooks the environment of the user's login shell (`userEnvProbe`); a caller that no such tool
//! started lacks it. State: the last answer, with what it came from; it counts while the shell and its start-up files stay
//! as they are. A daemon lives for one start of the container at most.
//!
//! Invariants: one shell at a time; a shell that does not answer is not asked again until its files change, or somebody asks
//! for the same work again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use burrow_protocol::error::ErrorCode;
use burrow_protocol::model::Reason;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::time::{Instant, sleep};

use crate::coded::with_causes;
use crate::config;
use crate::process::run::{CommandLine, output};
use crate::process::user::User;
use crate::workspace::files::devcontainer::UserEnvProbe;

/// After this long the user hears of it.
const WARN_AFTER: Duration = Duration::from_secs(2);
/// After this long hooks run without it.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10);

/// Start-up files of the shells, below the home directory, and what these commonly read. What else they read is not seen.
const HOME_FILES: [&str; 14] = [
    ".bash_profile",
    ".bash_login",
    ".profile",
    ".bashrc",
    ".bashrc.d",
    ".bash_aliases",
    ".profile.d",
    ".zshenv",
    ".zprofile",
    ".zshrc",
    ".zlogin",
    ".config/fish/config.fish",
    ".config/fish/conf.d",
    ".config/fish/fish_variables",
];
/// Those of the machine.
const SYSTEM_FILES: [&str; 9] = [
    "/etc/profile",
    "/etc/profile.d",
    "/etc/bash.bashrc",
    "/etc/zsh/zshenv",
    "/etc/zsh/zprofile",
    "/etc/zsh/zshrc",
    "/etc/environment",
    "/etc/fish/config.fish",
    "/etc/fish/conf.d",
];
/// What a shell sets of itself, not for others.
const OF_THE_SHELL: [&str; 4] = ["_", "SHLVL", "PWD", "OLDPWD"];

/// The environment of the user's shell. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    cached: Arc<tokio::sync::Mutex<Option<Cached>>>,
    trouble: Arc<Mutex<Option<Reason>>>,
}

#[derive(Debug)]
struct Cached {
    key: Key,
    env: Arc<BTreeMap<String, String>>,
    answered: bool,
}

/// What an answer came from.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    kind: UserEnvProbe,
    shell: String,
    home: Option<String>,
    /// Time and size of the start-up files that are there.
    files: Vec<(Utf8PathBuf, SystemTime, u64)>,
}

impl Probe {
    /// What the shell sets, for work of a caller with the environment `caller`; nothing where it does not answer. `slow` is
    /// called where that takes long.
    pub(crate) async fn environment(
        &self,
        kind: UserEnvProbe,
        caller: &BTreeMap<String, String>,
        slow: impl FnOnce(&str),
    ) -> Arc<BTreeMap<String, String>> {
        let Some(flags) = flags(kind) else {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
            return Arc::default();
        };
        let mut cached = self.cached.lock().await;
        let base = config::base_env(caller, None);
        let of = base.clone();
        // Where the runtime is being torn down nothing is run any more.
        let Ok(key) = tokio::task::spawn_blocking(move || key(kind, &of)).await else { return Arc::default() };
        // A failure counts as long as it is told.
        let counts = |cached: &&Cached| cached.key == key && (cached.answered || self.trouble().is_some());
        if let Some(cached) = cached.as_ref().filter(counts) {
            return Arc::clone(&cached.env);
        }
        let answer = ask(&key.shell, flags, base, slow).await;
        let trouble = answer.as_ref().err().map(|why| reason(&key.shell, flags, why));
        if let Some(reason) = &trouble {
            tracing::warn!(shell = key.shell, why = reason.message, "hooks run without the environment of the shell");
        }
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
        let answered = answer.is_ok();
        let env = Arc::new(answer.unwrap_or_default());
        *cached = Some(Cached { key, env: Arc::clone(&env), answered });
        env
    }

    /// Lets a shell that did not answer be asked again: why it did not need not stand in its files.
    pub(crate) fn forget_failure(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Why the shell did not answer.
    pub(crate) fn trouble(&self) -> Option<Reason> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn reason(shell: &str, flags: &str, why: &str) -> Reason {
    Reason {
        code: Some(ErrorCode::EnvironmentProbe.code().to_owned()),
        message: format!("hooks run without what your shell sets: `{shell} {flags}` {why}"),
        hint: Some(
            "mend the start-up files of your shell, or set `userEnvProbe` in devcontainer.json: `none` asks no shell"
                .to_owned(),
        ),
    }
}

/// The shell's arguments before the command; none where no shell is asked.
const fn flags(kind: UserEnvProbe) -> Option<&'static str> {
    match kind {
        UserEnvProbe::None => None,
        UserEnvProbe::LoginShell => Some("-lc"),
        UserEnvProbe::LoginInteractiveShell => Some("-lic"),
        UserEnvProbe::InteractiveShell => Some("-ic"),
    }
}

/// Blocks.
fn key(kind: UserEnvProbe, env: &BTreeMap<String, String>) -> Key {
    let shell = env.get("SHELL").filter(|shell| shell.starts_with('/')).cloned().or_else(|| {
        let user = User::by_uid(rustix::process::getuid().as_raw())?;
        Some(user.shell).filter(|shell| !shell.is_empty())
    });
    let home = env.get("HOME").cloned();
    let in_home = home.iter().flat_map(|home| HOME_FILES.map(|name| Utf8Path::new(home).join(name)));
    let paths = SYSTEM_FILES.map(Utf8PathBuf::from).into_iter().chain(in_home).flat_map(with_entries);
    let files = paths.filter_map(|path| {
        let metadata = path.metadata().ok()?;
        Some((path, metadata.modified().ok()?, metadata.len()))
    });
    Key { kind, shell: shell.unwrap_or_else(|| "/bin/sh".to_owned()), files: files.collect(), home }
}

/// A folder with the files in it, in an order of their own.
fn with_entries(path: Utf8PathBuf) -> Vec<Utf8PathBuf> {
    let mut paths: Vec<_> = path.read_dir_utf8().into_iter().flatten().flatten().map(|it| it.into_path()).collect();
    paths.sort_unstable();
    paths.push(path);
    paths
}

/// Asks the shell, or says why it did not answer, to be read after the command line.
async fn ask(
    shell: &str,
    flags: &str,
    env: BTreeMap<String, String>,
    slow: impl FnOnce(&str),
) -> Result<BTreeMap<String, String>, String> {
    // Start-up files print what they like: the answer stands between two marks that nobody else writes.
    let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    let mark = format!("burrow-{}-{nanos}", std::process::id());
    let script = format!("printf %s {mark}; cat /proc/self/environ; printf %s {mark}");
    let home = env.get("HOME").map(Utf8PathBuf::from).filter(|home| home.is_dir());
    let command = CommandLine {
        program: shell.to_owned(),
        args: vec![flags.to_owned(), script],
        env,
        cwd: home.unwrap_or_else(|| "/".into()),
    };
    let begin = Instant::now();
    let answer = output(command, GIVE_UP_AFTER);
    tokio::pin!(answer);
    let answer = tokio::select! {
        answer = &mut answer => answer,
        () = sleep(WARN_AFTER) => {
            slow(&format!("waits for the start-up files of {shell}"));
            let answer = answer.await;
            tracing::warn!(shell, took = ?begin.elapsed(), "the start-up files of the shell take long");
            answer
        }
    };
    let answer = answer.map_err(|error| match error {
        crate::process::ProcessError::Deadline { deadline, .. } => {
            format!("did not end within {} s", deadline.as_secs())
        }
        error => format!("could not be run: {}", with_causes(&error)),
    })?;
    parse(&answer.stdout, mark.as_bytes()).ok_or_else(|| {
        let code = answer.status.code().map_or_else(|| answer.status.to_string(), |code| format!("exit code {code}"));
        format!("ended without an answer: {code}")
    })
}

/// The variables between two marks; values that are no UTF-8 cannot cross to a hook and are left out.
fn parse(output: &[u8], mark: &[u8]) -> Option<BTreeMap<String, String>> {
    let find = |from: usize| output.get(from..)?.windows(mark.len()).position(|part| part == mark).map(|at| from + at);
    let begin = find(0)? + mark.len();
    let end = find(begin)?;
    let variables = output[begin..end].split(|byte| *byte == 0).filter_map(|variable| {
        let (name, value) = std::str::from_utf8(variable).ok()?.split_once('=')?;
        (!name.is_empty() && !OF_THE_SHELL.contains(&name)).then(|| (name.to_owned(), value.to_owned()))
    });
    Some(variables.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_stands_between_the_marks() {
        let output = b"Welcome! MARKA=1\0B=x=y\0PWD=/\0=odd\0C=\xff\0D=\0MARK bye";
        let expected = [("A", "1"), ("B", "x=y"), ("D", "")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        assert_eq!(parse(output, b"MARK"), Some(expected));
        assert_eq!(parse(b"MARKA=1\0", b"MARK"), None, "it ended in the middle");
        assert_eq!(parse(b"no such file", b"MARK"), None);
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    fn home(profile: &str) -> (tempfile::TempDir, BTreeMap<String, String>) {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, profile);
        let home = folder.path().to_str().unwrap().to_owned();
        let pairs = [("HOME", home.as_str()), ("SHELL", "/bin/sh"), ("PATH", "/usr/bin:/bin"), ("TOKEN", "secret")];
        let env = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        (folder, env)
    }

    fn write(folder: &tempfile::TempDir, profile: &str) {
        crate::durable::replace(folder.path().join(".profile").to_str().unwrap().into(), profile.as_bytes()).unwrap();
    }

    #[test]
    fn a_shell_is_asked_once_until_its_files_change() {
        let (folder, env) = home("echo noise; echo x >> \"$HOME/asked\"; export FROM_PROFILE=one\n");
        let asked = || std::fs::read_to_string(folder.path().join("asked")).unwrap().lines().count();
        block_on(async {
            let probe = Probe::default();
            for _ in 0..2 {
                let probed = probe.environment(UserEnvProbe::LoginShell, &env, |_| {}).await;
                assert_eq!(probed.get("FROM_PROFILE").map(String::as_str), Some("one"));
                assert_eq!(probed.get("TOKEN"), None, "the shell is not given the caller's secrets");
            }
            assert_eq!(asked(), 1);
            write(&folder, "echo x >> \"$HOME/asked\"; export FROM_PROFILE=another\n");
            let probed = probe.environment(UserEnvProbe::LoginShell, &env, |_| {}).await;
            assert_eq!((asked(), probed.get("FROM_PROFILE").map(String::as_str)), (2, Some("another")));
            let folder_of_files = folder.path().join(".profile.d");
            std::fs::create_dir(&folder_of_files).unwrap();
            let part = folder_of_files.join("go.sh");
            for (count, text) in [(3, "export A=1"), (4, "export A=1 B=2")] {
                crate::durable::replace(part.to_str().unwrap().into(), text.as_bytes()).unwrap();
                probe.environment(UserEnvProbe::LoginShell, &env, |_| {}).await;
                assert_eq!(asked(), count, "a file of a folder counts, also when it is edited");
            }
            assert_eq!(*probe.environment(UserEnvProbe::None, &env, |_| {}).await, BTreeMap::new(), "none asks nobody");
            assert_eq!((asked(), probe.trouble()), (4, None));
        });
    }

    #[test]
    fn a_shell_that_did_not_answer_is_asked_again_on_request() {
        let (folder, env) = home("echo x >> \"$HOME/asked\"; test -e \"$HOME/mended\" || exit 3; export A=1\n");
        let asked = || std::fs::read_to_string(folder.path().join("asked")).unwrap().lines().count();
        block_on(async {
            let probe = Probe::default();
            for (forget, mend, expected, why) in [
                (false, false, (1, None), "it fails"),
                (false, false, (1, None), "a hook after that does not wait for it"),
                (true, false, (2, None), "somebody asks again"),
                (false, true, (2, None), "what has changed is not seen"),
                (true, true, (3, Some("1")), "until somebody asks again"),
                (true, true, (3, Some("1")), "an answer lasts"),
            ] {
                if mend {
                    crate::durable::replace(folder.path().join("mended").to_str().unwrap().into(), b"").unwrap();
                }
                if forget {
                    probe.forget_failure();
                }
                let probed = probe.environment(UserEnvProbe::LoginShell, &env, |_| {}).await;
                assert_eq!((asked(), probed.get("A").map(String::as_str)), expected, "{why}");
                assert_eq!(probe.trouble().is_none(), expected.1.is_some(), "{why}");
            }
        });
    }

    #[test]
    fn a_shell_that_does_not_answer_is_told() {
        let (folder, mut env) = home("exit 3\n");
        block_on(async {
            let probe = Probe::default();
            assert_eq!(*probe.environment(UserEnvProbe::LoginShell, &env, |_| {}).await, BTreeMap::new());
            let told = probe.trouble().unwrap().message;
            assert!(told.ends_with("`/bin/sh -lc` ended without an answer: exit code 3"), "{told}");
            env.insert("SHELL".to_owned(), "/no/such/shell".to_owned());
            assert_eq!(*probe.environment(UserEnvProbe::LoginShell, &env, |_| {}).await, BTreeMap::new());
            assert!(probe.trouble().unwrap().message.contains("could not be run"));
        });
        drop(folder);
    }
}
