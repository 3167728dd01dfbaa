//! Running `go` in a work folder: its deadline, its silence, and what its last words mean.
//!
//! What it says is masked here, before anybody sees it: a URL of GOPROXY may hold a password or a token.
//!
//! Go waits for a silent proxy without end and says nothing meanwhile, so a `go` that neither reads nor computes is ended.
//! What it prints is for people; the few words that tell one failure from another stand here, with a test.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::time::sleep;

use super::error::ToolchainError;
use crate::process::activity::Activity;
use crate::process::run::{self, CommandLine};
use crate::process::{RUN_VARIABLE, Stream, masked};

/// How long a `go` may neither read a byte nor compute. A module proxy may take a while to fetch what nobody asked it before.
const SILENCE: Duration = Duration::from_secs(60);
/// Between two looks at what it does.
const LOOK_EVERY: Duration = Duration::from_secs(4);
/// How long one command may take in any case.
const DEADLINE: Duration = Duration::from_secs(60 * 60);
/// How much of what Go says goes into an error.
const DETAIL_LINES: usize = 6;

/// How the system says that there is no room for what Go writes.
const FULL: [&str; 2] = ["no space left on device", "disk quota exceeded"];

/// What Go says where a proxy or a repository has answered that this one module is not to be had there.
const ANSWERS: [&str; 10] = [
    ": 400 ",
    ": 401 ",
    ": 403 ",
    ": 404 ",
    ": 410 ",
    "no such file",
    "no matching versions",
    "unknown revision",
    "not found",
    "could not read Username",
];

/// A `go` to run.
#[derive(Clone, Debug)]
pub(crate) struct GoCommand {
    /// The `go` that is started.
    pub(crate) program: Utf8PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) cwd: Utf8PathBuf,
    /// The value of `BURROW_RUN`.
    pub(crate) mark: String,
}

/// How a `go` ended.
#[derive(Debug)]
pub(crate) enum GoEnd {
    Exited(ExitStatus),
    /// It was ended: this is why, in words.
    GivenUp(String),
}

impl GoCommand {
    /// Runs it to its end and hands on what it prints. Dropping the future ends it.
    ///
    /// # Errors
    /// [`ToolchainError::Process`] where it cannot be started or followed.
    pub(crate) async fn run(self, mut on_line: impl FnMut(Stream, &str)) -> Result<GoEnd, ToolchainError> {
        let Self { program, args, mut env, cwd, mark } = self;
        env.insert(RUN_VARIABLE.to_owned(), mark.clone());
        let command = CommandLine { program: program.into_string(), args, env, cwd };
        tokio::select! {
            status = run::lines(command, |stream, line| on_line(stream, &without_login(line))) => Ok(GoEnd::Exited(status?)),
            () = silence(mark) => Ok(GoEnd::GivenUp(format!("nothing came for {} seconds", SILENCE.as_secs()))),
            () = sleep(DEADLINE) => Ok(GoEnd::GivenUp(format!("it took longer than {} minutes", DEADLINE.as_secs() / 60))),
        }
    }
}

/// A line without who logs in within a URL. Go itself leaves out the password, and leaves in a token that stands for the name.
fn without_login(line: &str) -> Cow<'_, str> {
    if line.contains("://") { Cow::Owned(masked(line, &[])) } else { Cow::Borrowed(line) }
}

/// Returns once the processes with this mark have done nothing for [`SILENCE`].
async fn silence(mark: String) {
    let mut last = Activity::default();
    let mut quiet = Duration::ZERO;
    while quiet < SILENCE {
        sleep(LOOK_EVERY).await;
        let mark = mark.clone();
        let look = tokio::task::spawn_blocking(move || Activity::of(|run| run == mark)).await;
        // It only says that the runtime is ending.
        let Ok(now) = look else { return };
        if now.has_moved_since(&last) {
            (last, quiet) = (now, Duration::ZERO);
        } else {
            quiet += LOOK_EVERY;
        }
    }
}

/// Why a build failed. A compiler's message has a header `# PACKAGE`; without one, Go did not come as far as compiling.
pub(crate) fn failed_build(tool: &str, module: &str, version: &str, said: &[String]) -> ToolchainError {
    let said_so = |words: &str| said.iter().any(|line| line.contains(words));
    // What the tool is made of may ask for a newer Go than the tool itself.
    let is_built = said.iter().any(|line| line.starts_with("# ")) || said_so(" requires go >= ");
    if is_built && !FULL.into_iter().any(said_so) {
        let detail = last_lines(&said.join("\n"));
        return ToolchainError::BuildFailed { tool: tool.to_owned(), version: version.to_owned(), detail };
    }
    not_downloaded(module, version, &said.join("\n"))
}

/// A failed download, from what Go said. A wrong sum and a full disk are told by these words only: there is no other sign.
pub(crate) fn not_downloaded(module: &str, version: &str, said: &str) -> ToolchainError {
    let detail = without_name(&last_lines(said), module, version);
    let (module, version) = (module.to_owned(), version.to_owned());
    if FULL.into_iter().any(|words| said.contains(words)) {
        return ToolchainError::DiskFull { module, version, detail };
    }
    if detail.contains("SECURITY ERROR") || detail.contains("checksum mismatch") {
        return ToolchainError::SumRefused { module, version, detail };
    }
    ToolchainError::Download { module, version, detail }
}

impl ToolchainError {
    /// Whether it is a download of what the proxy says is not there. Go tells it by these words only.
    pub(crate) fn says_there_is_none(&self) -> bool {
        let Self::Download { detail, .. } = self else { return false };
        [".info: 404 ", ".info: 410 ", "no such file", "no matching versions", "not found", "module lookup disabled"]
            .iter()
            .any(|words| detail.contains(words))
    }

    /// Whether it is about one tool, so that others may do better: there is no such version, or nobody gives it to this user, or
    /// it cannot be built. Where no answer came, the others would have none either.
    pub(crate) fn is_of_one_tool(&self) -> bool {
        match self {
            Self::NoneUpstream { .. } | Self::NoBuilder { .. } | Self::BuildFailed { .. } => true,
            Self::Download { detail, .. } => {
                ANSWERS.iter().any(|words| detail.contains(words)) && !detail.contains("dial tcp")
            }
            _ => false,
        }
    }
}

/// Go names the module at the head of what it says, and more than once; the error does so already.
fn without_name(detail: &str, module: &str, version: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in detail.split("; ") {
        let mut part = part;
        loop {
            let head = ["go: ".to_owned(), format!("{module}@{version}: "), format!("module {module}: ")];
            match head.iter().find_map(|head| part.strip_prefix(head.as_str())) {
                Some(rest) => part = rest,
                None => break,
            }
        }
        if !parts.contains(&part) {
            parts.push(part);
        }
    }
    parts.join("; ")
}

/// The last lines that say something, in one.
fn last_lines(text: &str) -> String {
    // `go install -v` names each package that it compiles, and each download as it begins: those lines are no reason.
    let is_reason = |line: &&str| line.contains(' ') && !line.starts_with("go: downloading ");
    let lines: Vec<_> = text.lines().map(str::trim).filter(is_reason).collect();
    lines[lines.len().saturating_sub(DETAIL_LINES)..].join("; ")
}

#[cfg(test)]
mod tests {
    use burrow_protocol::error::ErrorCode;

    use super::*;
    use crate::coded::Coded;

    #[test]
    fn why_go_failed() {
        for (said, expected, why) in [
            (
                &["internal/cpu", "# a.example/t", "./main.go:3:1: syntax error"][..],
                ErrorCode::BuildFailed,
                "a compiler's header",
            ),
            (&["go: downloading b v1", "go: b@v1: dial tcp: connection refused"], ErrorCode::Download, "no network"),
            (
                &["go: b@v1: verifying module: checksum mismatch", "SECURITY ERROR"],
                ErrorCode::ChecksumMismatch,
                "wrong content",
            ),
            (
                &["# a.example/t", "link: write /w/a.out: no space left on device"],
                ErrorCode::DiskFull,
                "no room for what is built",
            ),
            (&["go: b@v1: write /w/b.zip: disk quota exceeded"], ErrorCode::DiskFull, "no room for a download"),
            (
                &["go: b@v1 requires go >= 1.27 (running go 1.26.8; GOTOOLCHAIN=local)"],
                ErrorCode::BuildFailed,
                "no matter of the network",
            ),
        ] {
            let said: Vec<_> = said.iter().map(|line| (*line).to_owned()).collect();
            let error = failed_build("t", "a.example/t", "v1.0.0", &said);
            assert_eq!(error.code(), expected, "{why}: {error}");
            assert!(!error.to_string().contains("internal/cpu"), "names of packages are no reason");
            assert!(!error.to_string().contains("downloading"), "what was begun is no reason");
        }
    }

    #[test]
    fn one_tool_that_is_not_to_be_had_is_told_from_a_network_that_is_down() {
        for (said, expected) in [
            ("b@v9: reading https://proxy/b.info: 404 Not Found", true),
            ("b@v1: reading https://proxy/b.zip: 401 Unauthorized", true),
            ("b@v1: reading https://proxy.golang.org/b.info: 400 Bad Request", true),
            ("b@v9: invalid version: unknown revision v9", true),
            ("b@v1: reading file:///proxy/b.info: no such file or directory", true),
            ("b@v1: Get \"https://proxy/b.info\": dial tcp: lookup proxy: no such host", false),
            (
                "b@v1: https fetch: Get \"https://b\": dial tcp 192.0.2.1:443: connect: connection refused: not found",
                false,
            ),
            ("b@v1: reading https://proxy/b.zip: 500 Internal Server Error", false),
            ("b@v1: unexpected EOF", false),
            ("b@v1: module lookup disabled by GOPROXY=off", false),
            ("nothing came for 60 seconds", false),
        ] {
            assert_eq!(not_downloaded("b", "v1", said).is_of_one_tool(), expected, "{said}");
        }
    }

    #[test]
    fn the_module_is_named_once() {
        for said in [
            "a.example/t@v1.0.0: reading http://proxy/x.info: 404 Not Found",
            "go: a.example/t@v1.0.0: a.example/t@v1.0.0: reading http://proxy/x.info: 404 Not Found",
        ] {
            let error = not_downloaded("a.example/t", "v1.0.0", said);
            assert_eq!(error.to_string(), "download a.example/t@v1.0.0: reading http://proxy/x.info: 404 Not Found");
        }
    }
}
