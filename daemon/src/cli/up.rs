//! `burrow up`: the main job. Starts the daemon if need be, brings the tools in order, runs the hooks that are due, and
//! says what is ready.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use burrow_protocol::error::{ErrorCode, ErrorData};
use burrow_protocol::hooks::{HookState, StartedHooks, UpHooksParams};
use burrow_protocol::methods::{HooksUp, ModelStatus, NoParams, ToolchainRepair};
use burrow_protocol::model::{WorkspaceState, WorkspaceStatus};
use burrow_protocol::toolchain::{OperationResult, RepairParams};

use super::context::{Context, Start};
use super::exit::{ExitStatus, Told};
use super::hook::follow::follow_or_leave;
use super::link::Link;
use super::log_lines::Sink;
use super::printer::{Printer, Style};
use super::status::render_reasons;
use super::tools::progress::run_operation;
use super::{hook, tools};
use crate::client::{Client, ClientError};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this part of the job
    #[arg(long, value_enum)]
    only: Option<Part>,
    /// Install nothing but what the lock file names; what differs from it is an error
    #[arg(long)]
    locked: bool,
}

impl Args {
    /// The tools alone.
    pub(crate) const fn tools() -> Self {
        Self { only: Some(Part::Tools), locked: false }
    }
}

/// A part of the job that can be done alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The Go tools, without the hooks
    Tools,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let printer = context.printer;
    let started = Instant::now();
    let mut client = context.connect(Start::Always).await?;
    let connected = started.elapsed();

    let tools = repair(&mut client, context, args.locked).await?;
    let with_tools = started.elapsed();

    let link = Link::over(context, client);
    let hooks = if args.only.is_none() { run_hooks(&link, context).await? } else { Some(0) };
    let Some(hooks) = hooks else { return Ok(ExitStatus::Interrupted) };
    let with_hooks = started.elapsed();

    let workspace = workspace_status(&link, context).await?;
    let status = match &tools {
        Err(_) => ExitStatus::Attention,
        // Hooks that are due are no news to who asked for the tools alone.
        Ok(result) if args.only.is_some() => tools::render::exit_status_of(result),
        Ok(_) if workspace.state == WorkspaceState::Attention => ExitStatus::Attention,
        Ok(_) => ExitStatus::Success,
    };
    if printer.is_json() {
        printer.json(&workspace);
        return Ok(status);
    }
    tell(printer, &workspace, &tools);
    printer.note(&printer.paint(
        Style::Faint,
        &format!(
            "daemon {}, tools {}, {hooks} hooks {}",
            time(connected),
            time(with_tools.saturating_sub(connected)),
            time(with_hooks.saturating_sub(with_tools)),
        ),
    ));
    Ok(status)
}

/// Brings the tools in order. What the tools themselves say no to is the answer; hooks run all the same.
async fn repair(client: &mut Client, context: &Context, locked: bool) -> Result<Result<OperationResult, ErrorData>> {
    // A rollback is somebody's choice; what the lock file names is asked for by `--locked` in so many words.
    let params = RepairParams { workspace: context.workspace().to_string(), locked, keep_rollback: !locked };
    let result = match client.call::<ToolchainRepair>(params).await {
        Ok(started) => run_operation(client, context.workspace(), started, context.printer).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(result) => Ok(Ok(result)),
        Err(ClientError::Refused(data)) => Ok(Err(data)),
        Err(error) => Err(error.into()),
    }
}

/// Runs what is due, and answers with the number of runs; with none where Ctrl-C came before their end.
async fn run_hooks(link: &Link<'_>, context: &Context) -> Result<Option<usize>> {
    let mut all = BTreeSet::new();
    loop {
        let renewals = link.renewals();
        let params = UpHooksParams { workspace: context.workspace().to_string() };
        let StartedHooks { runs, notes } = link.ask::<HooksUp>(params).await?;
        notes.iter().for_each(|note| context.printer.note(note));
        let followed = follow_or_leave(link, context.workspace(), &runs, context.printer, Sink::Notes).await?;
        if followed.is_none() {
            return Ok(None);
        }
        all.extend(runs);
        // What had not begun in a daemon that ended is still due.
        if link.renewals() == renewals {
            return Ok(Some(all.len()));
        }
    }
}

async fn workspace_status(link: &Link<'_>, context: &Context) -> Result<WorkspaceStatus> {
    let status = link.ask::<ModelStatus>(NoParams {}).await?;
    let path = context.workspace().as_str();
    status.workspaces.into_iter().find(|workspace| workspace.path == path).ok_or_else(|| {
        Told(ErrorData::new(ErrorCode::WorkspaceUnknown, format!("the daemon does not know {path}"), None)).into()
    })
}

fn tell(printer: Printer, workspace: &WorkspaceStatus, tools: &Result<OperationResult, ErrorData>) {
    match tools {
        Ok(result) => result.notes.iter().for_each(|note| printer.note(note)),
        // Where the status has it among its reasons, it is told there.
        Err(data) if workspace.reasons.iter().all(|reason| reason.code.as_ref() != Some(&data.code)) => {
            printer.error(data);
        }
        Err(_) => {}
    }
    for line in tools::render::lines(&workspace.tools, false) {
        printer.data(&line);
    }
    // What was never asked to run is no news here.
    for status in workspace.hooks.iter().filter(|status| status.state != HookState::Pending) {
        printer.data(&hook::render::line(printer, status));
    }
    let reasons = render_reasons(printer, &workspace.reasons);
    if !reasons.is_empty() {
        printer.note(reasons.trim_end());
    }
    let (style, word) = match workspace.state {
        WorkspaceState::Ready => (Style::Good, "ready"),
        WorkspaceState::Working => (Style::Notice, "working"),
        WorkspaceState::Attention => (Style::Bad, "needs attention"),
    };
    printer.data(&format!("{} {}", workspace.path, printer.paint(style, word)));
}

fn time(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 { format!("{millis} ms") } else { format!("{:.1} s", duration.as_secs_f64()) }
}
