//! The caller's own `go`: asked what it sees, and run with its output passed on.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context as _, Result};
use burrow_protocol::error::{ErrorCode, ErrorData};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use crate::cli::context::Context;
use crate::cli::exit::Told;
use crate::cli::printer::{Printer, Style};
use crate::coded::with_causes;
use crate::config;
use crate::process::run::{CommandLine, Output, lines, output};
use crate::process::{ProcessError, Stream};
use crate::workspace::files::{go_work, modules};

/// For a question: it may have to fetch the toolchain that go.mod names.
const ANSWER_LIMIT: Duration = Duration::from_secs(600);
/// What `go env GOMOD` says where there is no go.mod.
const NO_MODULE: &str = "/dev/null";

/// `go` in one folder.
#[derive(Clone, Debug)]
pub(super) struct Go {
    printer: Printer,
    env: BTreeMap<String, String>,
    root: Utf8PathBuf,
}

/// What `go env` says in a folder.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) struct GoEnv {
    pub(super) gomod: String,
    pub(super) gowork: String,
    pub(super) goflags: String,
}

impl GoEnv {
    /// The go.work that joins the modules, if one does.
    fn workspace(&self) -> Option<&Utf8Path> {
        let file = Utf8Path::new(&self.gowork);
        (!self.gowork.is_empty() && file != "off").then_some(file)
    }

    /// What `-mod=` is set to for every command.
    pub(super) fn mod_flag(&self) -> Option<&str> {
        self.goflags.split_whitespace().rev().find_map(|flag| flag.trim_start_matches('-').strip_prefix("mod="))
    }
}

/// Modules that are downloaded together: those of a go.work, or one alone.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    /// Where its go.work or go.mod lies.
    pub(super) folder: Utf8PathBuf,
    /// The folders of its modules.
    pub(super) modules: Vec<Utf8PathBuf>,
    pub(super) env: GoEnv,
}

impl Go {
    pub(super) fn new(context: &Context) -> Self {
        Self { printer: context.printer, env: config::process_env(), root: context.cwd().to_owned() }
    }

    /// The modules at the folder, or below it where it has none.
    ///
    /// # Errors
    /// Where there is no Go, or no module.
    pub(super) async fn units(&self) -> Result<Vec<Unit>> {
        let env = self.environment(&self.root).await?;
        if let Some((file, folder)) = env.workspace().and_then(|file| Some((file, file.parent()?))) {
            // Go itself lists them only where vendor/ agrees with them.
            let read = fs_err::read_to_string(file).map_err(anyhow::Error::from);
            let work = read.and_then(|text| go_work::parse(&text).map_err(anyhow::Error::from)).map_err(|error| {
                told(ErrorCode::GoModSyntax, format!("{file} cannot be read: {error}"), "correct that file")
            })?;
            let modules = work.uses.iter().map(|used| folder.join(used.trim_start_matches("./"))).collect();
            return Ok(vec![Unit { folder: folder.to_owned(), modules, env }]);
        }
        let folders = match Utf8Path::new(&env.gomod).parent() {
            Some(folder) if env.gomod != NO_MODULE && !env.gomod.is_empty() => vec![folder.to_owned()],
            _ => modules::below(&self.root),
        };
        if folders.is_empty() {
            let message = format!("there is no Go module in {} or below it", self.root);
            return Err(told(ErrorCode::NoModule, message, "set the command's `cwd` to the folder of a module"));
        }
        let mut units = Vec::new();
        for folder in folders {
            let env = self.environment(&folder).await?;
            units.push(Unit { modules: vec![folder.clone()], folder, env });
        }
        Ok(units)
    }

    /// Runs `go ARGS` in `folder` and passes its output on.
    pub(super) async fn run(&self, folder: &Utf8Path, args: &[&str]) -> Result<ExitStatus> {
        let place = match folder.strip_prefix(&self.root) {
            Ok(relative) if relative.as_str().is_empty() => String::new(),
            Ok(relative) => format!(" (in {relative})"),
            Err(_) => format!(" (in {folder})"),
        };
        let line = args.iter().map(|arg| quoted(arg)).collect::<Vec<_>>().join(" ");
        self.tell(&format!("go {line}{place}"));
        let printer = self.printer;
        let status = lines(self.command(folder, args), |stream, line| match stream {
            Stream::Stdout => printer.data(line),
            Stream::Stderr => printer.note(line),
        });
        status.await.map_err(no_go)
    }

    /// Runs `go ARGS` in `folder` and returns what it printed.
    pub(super) async fn output(&self, folder: &Utf8Path, args: &[&str]) -> Result<Output> {
        output(self.command(folder, args), ANSWER_LIMIT).await.map_err(no_go)
    }

    /// Says what is done or why nothing is.
    pub(super) fn tell(&self, line: &str) {
        self.printer.note(&self.printer.paint(Style::Faint, line));
    }

    async fn environment(&self, folder: &Utf8Path) -> Result<GoEnv> {
        let text = self.ask(folder, &["env", "-json", "GOMOD", "GOWORK", "GOFLAGS"]).await?;
        serde_json::from_str(&text).context("read what `go env` says")
    }

    async fn ask(&self, folder: &Utf8Path, args: &[&str]) -> Result<String> {
        let output = self.output(folder, args).await?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            let message = format!("`go {}` in {folder} fails: {}", args.join(" "), why.trim());
            return Err(told(ErrorCode::GoModSyntax, message, "correct what Go complains of"));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn command(&self, folder: &Utf8Path, args: &[&str]) -> CommandLine {
        CommandLine {
            program: "go".to_owned(),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: self.env.clone(),
            cwd: folder.to_owned(),
        }
    }
}

/// An error of the registry, which the command line prints with its hint.
pub(super) fn told(code: ErrorCode, message: impl Into<String>, hint: &str) -> anyhow::Error {
    Told(ErrorData::new(code, message, Some(hint.to_owned()))).into()
}

fn no_go(error: ProcessError) -> anyhow::Error {
    match error {
        ProcessError::Spawn { source, .. } if source.kind() == ErrorKind::NotFound => {
            told(ErrorCode::NoGo, "there is no Go on PATH", "install Go, or correct PATH")
        }
        error => told(ErrorCode::SpawnFailed, with_causes(&error), "look at the machine's memory and limits"),
    }
}

/// As one would type it.
fn quoted(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:@".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) { arg.to_owned() } else { format!("'{arg}'") }
}

#[cfg(test)]
mod tests {
    use super::{GoEnv, quoted};

    #[test]
    fn the_mod_setting_is_the_last_one() {
        for (goflags, expected, why) in [
            ("", None, "none"),
            ("-mod=vendor", Some("vendor"), "one"),
            ("-mod=vendor -count=1 --mod=mod", Some("mod"), "the last counts"),
            ("-modcacherw -modfile=x", None, "others begin the same way"),
        ] {
            let env = GoEnv { gomod: String::new(), gowork: String::new(), goflags: goflags.to_owned() };
            assert_eq!(env.mod_flag(), expected, "{why}");
        }
    }

    #[test]
    fn a_command_line_can_be_copied() {
        assert_eq!(["test", "-run", "^$", "./..."].map(quoted).join(" "), "test -run '^$' ./...");
    }
}
