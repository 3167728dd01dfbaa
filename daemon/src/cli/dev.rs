//! `burrow dev`: builds and runs programs, and does so again whenever their files change.
//!
//! The daemon does the work, and ends it when this command goes.

use std::collections::HashMap;
use std::io::Write as _;
use std::pin::pin;

use anyhow::{Context as _, Result};
use burrow_protocol::debug::{LeaseEndpoint, LeaseParams, ReleaseParams};
use burrow_protocol::hooks::LogStream;
use burrow_protocol::methods::{
    DebugLease, DebugRelease, MODEL_CHANGED, ModelSubscribe, NoParams, ReloadFollow, ReloadStart, ReloadStop,
};
use burrow_protocol::model::{ModelChange, ModelChanged};
use burrow_protocol::reload::{
    FollowReloadParams, ReloadEvent, ReloadProgram, StartReloadParams, StartedReload, StopReloadParams,
};
use camino::{Utf8Path, Utf8PathBuf};
use tokio::signal::unix::{SignalKind, signal};

use super::context::{Context, Start};
use super::exit::{ExitStatus, Told};
use super::printer::{Printer, Style};
use crate::coded::Coded;
use crate::debug::lease::Why;
use crate::debug::trial::{MainPackage, Target, TrialError, find_packages, select_package};

/// How long one question for events may wait: then it is asked anew.
const WAIT_MS: u32 = 30_000;
/// What a shell gives a command that Ctrl-C ended.
const INTERRUPTED: u8 = 130;
/// Where Air looks for its settings, in a project's folder.
const CONFIGS: [&str; 2] = [".air.toml", ".config/air.toml"];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The packages to run [default: what .air.toml says, or the workspace's own program, or its only one]
    #[arg(value_name = "PACKAGE")]
    packages: Vec<Utf8PathBuf>,
    /// Settings of Air [default: .air.toml here or in the workspace]
    #[arg(long, value_name = "FILE")]
    config: Option<Utf8PathBuf>,
    /// Debug it: lease a port for an editor, whose session then lives through every change
    #[arg(long, conflicts_with_all = ["config", "args"])]
    debug: bool,
    /// Arguments of the program
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    if args.debug {
        return debug(&args.packages, context).await;
    }
    let config = args.config.or_else(|| {
        let folders = [context.cwd(), context.workspace()];
        let files = folders.into_iter().flat_map(|folder| CONFIGS.map(|name| folder.join(name)));
        files.into_iter().find(|file| file.is_file())
    });
    let programs = programs(&args.packages, config.is_some(), context)?;
    if programs.len() > 1 && !args.args.is_empty() {
        context.printer.note("error: arguments are for one program; name one package");
        return Ok(ExitStatus::Usage);
    }
    // Before anything runs: from here on Ctrl-C is a request.
    let mut ends = Ends::catch()?;
    let client = context.connect(Start::IfNeeded).await?;
    let started = client
        .call::<ReloadStart>(StartReloadParams {
            workspace: context.workspace().to_string(),
            programs,
            config: config.map(Utf8PathBuf::into_string),
            args: args.args,
        })
        .await?;
    let id = started.id.clone();
    let mut screen = Screen::new(context.printer, started);
    let mut stopping = false;
    loop {
        let params = FollowReloadParams { id: id.clone(), wait_ms: WAIT_MS };
        let mut follow = pin!(client.call::<ReloadFollow>(params));
        // An answer that is under way is not dropped: what it tells is told once.
        let piece = loop {
            tokio::select! {
                piece = &mut follow => break piece?,
                () = ends.next() => {
                    if stopping {
                        // The daemon goes on ending it.
                        return Ok(ExitStatus::Child(INTERRUPTED));
                    }
                    stopping = true;
                    client.call::<ReloadStop>(StopReloadParams { id: id.clone() }).await?;
                }
            }
        };
        for event in &piece.events {
            screen.show(event);
        }
        if piece.ended && stopping {
            return Ok(ExitStatus::Success);
        }
        if piece.ended {
            context.printer.note("the daemon has stopped, and the programs with it");
            return Ok(ExitStatus::NoDaemon);
        }
    }
}

/// Leases a port whose sessions reload, and waits for its end.
async fn debug(packages: &[Utf8PathBuf], context: &Context) -> Result<ExitStatus> {
    let programs = programs(packages, false, context)?;
    let [program] = programs.as_slice() else {
        context.printer.note("error: a debug session has one program; name one package");
        return Ok(ExitStatus::Usage);
    };
    let mut ends = Ends::catch()?;
    let mut client = context.connect(Start::IfNeeded).await?;
    let params = LeaseParams {
        workspace: context.workspace().to_string(),
        program: Some(program.name.clone()),
        cwd: Some(program.dir.clone()),
        reload: Some(true),
        ..LeaseParams::default()
    };
    let lease = client.call::<DebugLease>(params).await?.lease;
    let mut leases = client.call::<ModelSubscribe>(NoParams {}).await?.status.leases;
    if context.printer.is_json() {
        context.printer.json(&lease);
    } else {
        if let LeaseEndpoint::Port { port } = lease.endpoint {
            context.printer.data(&format!("127.0.0.1:{port}"));
        }
        let (name, dir) = (&program.name, &program.dir);
        let how =
            format!("connect your editor there, and launch {name} (mode debug, program {dir}); each save restarts it");
        context.printer.note(&how);
    }
    let mut why = None;
    while let Some(known) = leases.iter().find(|known| known.id == lease.id) {
        why = known.reason.clone().or(why);
        tokio::select! {
            told = client.notification() => match told {
                Some(told) if told.method == MODEL_CHANGED => {
                    if let ModelChange::Debug { leases: now, .. } = serde_json::from_value::<ModelChanged>(told.params)?.change {
                        leases = now;
                    }
                }
                Some(_) => {}
                None => return Ok(ExitStatus::NoDaemon),
            },
            () = ends.next() => {
                client.call::<DebugRelease>(ReleaseParams { id: lease.id.clone() }).await?;
                return Ok(ExitStatus::Success);
            }
        }
    }
    let why = why.unwrap_or_else(|| "the daemon's log says why".to_owned());
    context.printer.note(&format!("{} has ended: {why}", lease.id));
    // Its client is done; anything else came unasked.
    Ok(if why == Why::ClientLeft.to_string() { ExitStatus::Success } else { ExitStatus::Failure })
}

/// The signals that ask for the end.
struct Ends {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Ends {
    fn catch() -> Result<Self> {
        let catch = |kind| signal(kind).context("catch signals");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hangup: catch(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// The programs that are meant; none: the one of `.air.toml`.
fn programs(named: &[Utf8PathBuf], has_config: bool, context: &Context) -> Result<Vec<ReloadProgram>> {
    if named.is_empty() && has_config {
        return Ok(Vec::new());
    }
    let workspace = context.workspace();
    let find = |named: Option<&Utf8Path>| -> Result<MainPackage, TrialError> {
        select_package(workspace, &find_packages(workspace)?, named, &Target::Function("main.main".to_owned()))
    };
    let found: Result<Vec<_>, _> = if named.is_empty() {
        find(None).map(|package| vec![package])
    } else {
        // A folder is meant as seen from the caller's; where it is not there, from the workspace.
        let places = named.iter().map(|name| {
            let here = context.cwd().join(name);
            here.canonicalize_utf8().unwrap_or_else(|_| workspace.join(name))
        });
        places.map(|place| find(Some(&place))).collect()
    };
    let found = found.map_err(|error| Told(error.to_data()))?;
    Ok(found.into_iter().map(|package| ReloadProgram { name: package.name, dir: package.dir.into_string() }).collect())
}

/// What a person sees.
struct Screen {
    printer: Printer,
    /// Whether each line begins with its program's name.
    prefixed: bool,
    /// The line that each stream has begun, where lines are prefixed.
    open: HashMap<(String, bool), String>,
}

impl Screen {
    fn new(printer: Printer, started: StartedReload) -> Self {
        let screen = Self { printer, prefixed: started.programs.len() > 1, open: HashMap::new() };
        if printer.is_json() {
            screen.line_of_json(&started);
            return screen;
        }
        for problem in &started.problems {
            printer.note(&format!("{} {problem}", printer.paint(Style::Notice, "settings:")));
        }
        let how = started.polled.map(|why| format!(" by polling: {why}")).unwrap_or_default();
        let (files, folders) = (started.files, started.folders);
        screen.faint(&format!("watching {files} files in {folders} folders{how}; Ctrl-C ends"));
        screen
    }

    fn show(&mut self, event: &ReloadEvent) {
        if self.printer.is_json() {
            return self.line_of_json(event);
        }
        match event {
            ReloadEvent::Building { program, changed, count } => {
                let more = usize::try_from(*count).unwrap_or_default().saturating_sub(changed.len());
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let why =
                    if changed.is_empty() { String::new() } else { format!("{}{more} changed: ", changed.join(", ")) };
                self.faint(&format!("{why}building {program}"));
            }
            ReloadEvent::Built { program, duration_ms, output } => {
                self.text(output);
                self.faint(&format!("{program} was built in {}.{:02} s", duration_ms / 1000, duration_ms % 1000 / 10));
            }
            ReloadEvent::Unchanged { program } => self.faint(&format!("{program} is the same, and goes on")),
            ReloadEvent::BuildFailed { program, how, output } => {
                self.text(output);
                let what = self.printer.paint(Style::Bad, &format!("{program} was not built: {how}"));
                self.printer.note(&what);
            }
            ReloadEvent::Started { program, pid } => self.faint(&format!("{program} runs, process {pid}")),
            ReloadEvent::NotStarted { program, why } => {
                self.printer.note(&self.printer.paint(Style::Bad, &format!("{program} was not started: {why}")));
            }
            ReloadEvent::Output { program, stream, text, cut } => {
                if cut.get() > 0 {
                    self.faint(&format!("{program}: {} bytes of output are left out here", cut.get()));
                }
                self.output(program, *stream == LogStream::Stderr, text);
            }
            ReloadEvent::Ended { program, how } => {
                self.finish(program);
                self.printer.note(&self.printer.paint(Style::Notice, &format!("{program} has ended: {how}")));
            }
            ReloadEvent::Told { message } => self.printer.note(message),
        }
    }

    /// What the program printed: as it is, or line by line where there are several programs.
    fn output(&mut self, program: &str, is_error: bool, text: &str) {
        if !self.prefixed {
            return write(is_error, text);
        }
        for part in text.split_inclusive('\n') {
            let open = self.open.entry((program.to_owned(), is_error)).or_default();
            open.push_str(part);
            if open.ends_with('\n') {
                let line = std::mem::take(open);
                write(is_error, &format!("{} {line}", self.printer.paint(Style::Faint, &format!("[{program}]"))));
            }
        }
    }

    /// Prints what has no line's end.
    fn finish(&mut self, program: &str) {
        for is_error in [false, true] {
            if let Some(line) = self.open.remove(&(program.to_owned(), is_error)).filter(|line| !line.is_empty()) {
                write(is_error, &format!("[{program}] {line}\n"));
            }
        }
    }

    fn text(&self, text: &str) {
        if !text.trim().is_empty() {
            self.printer.note(text.trim_end());
        }
    }

    fn faint(&self, text: &str) {
        self.printer.note(&self.printer.paint(Style::Faint, text));
    }

    fn line_of_json<T: serde::Serialize>(&self, value: &T) {
        // The types of the protocol always have a JSON form.
        self.printer.data(&serde_json::to_string(value).unwrap_or_default());
    }
}

/// A closed pipe is no error: whoever reads has seen enough.
fn write(is_error: bool, text: &str) {
    if is_error {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    } else {
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    }
}
