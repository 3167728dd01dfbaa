//! `burrow status`: what is ready, what works, what needs attention.

use std::fmt::Write;

use anyhow::Result;
use burrow_protocol::debug::PortState;
use burrow_protocol::methods::{ModelStatus, ModelSubscribe, NoParams};
use burrow_protocol::model::{Reason, Status, WorkspaceState, WorkspaceStatus};

use super::context::{Context, Start};
use super::exit::ExitStatus;
use super::printer::{Printer, Style};
use super::{hook, tools};

mod surroundings; // the container's lines

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Print the status again at every change, until interrupted
    #[arg(long)]
    watch: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let printer = context.printer;
    let mut client = context.connect_unbound(Start::Never).await?;
    if !args.watch {
        let status = client.call::<ModelStatus>(NoParams {}).await?;
        print(printer, &status);
        return Ok(exit_status(&status));
    }
    loop {
        let snapshot = client.call::<ModelSubscribe>(NoParams {}).await?;
        print(printer, &snapshot.status);
        if client.notification().await.is_none() {
            return Ok(ExitStatus::NoDaemon);
        }
    }
}

fn exit_status(status: &Status) -> ExitStatus {
    let attention = status.workspaces.iter().any(|workspace| workspace.state == WorkspaceState::Attention);
    if attention { ExitStatus::Attention } else { ExitStatus::Success }
}

fn print(printer: Printer, status: &Status) {
    if printer.is_json() {
        printer.json(status);
    } else {
        printer.data(render(printer, status).trim_end());
    }
}

fn render(printer: Printer, status: &Status) -> String {
    let count = |wanted: &[PortState]| status.ports.iter().filter(|port| wanted.contains(&port.state)).count();
    let leased = count(&[PortState::Leased, PortState::Connected]);
    let foreign = match count(&[PortState::Foreign]) {
        0 => String::new(),
        foreign => format!(", {foreign} held by others"),
    };
    let ports = status.ports.len();
    let mut text =
        format!("burrow {}  pid {}  debug ports: {leased} of {ports} leased{foreign}\n", status.version, status.pid);
    text.push_str(&surroundings::lines(printer, status));
    for workspace in &status.workspaces {
        render_workspace(printer, workspace, &mut text);
    }
    if status.workspaces.is_empty() {
        text.push_str("no workspace is open: `burrow up` opens one\n");
    }
    text
}

fn render_workspace(printer: Printer, workspace: &WorkspaceStatus, text: &mut String) {
    let (style, word) = match workspace.state {
        WorkspaceState::Ready => (Style::Good, "ready"),
        WorkspaceState::Working => (Style::Notice, "working"),
        WorkspaceState::Attention => (Style::Bad, "attention"),
    };
    // Writing to a String does not fail.
    let _ = writeln!(text, "\n{}  {}", workspace.path, printer.paint(style, word));
    let sections = [
        render_reasons(printer, &workspace.reasons),
        hook::render::hooks(printer, &workspace.hooks),
        tools::render::lines(&workspace.tools, false).join("\n"),
    ];
    for line in sections.iter().flat_map(|section| section.lines()) {
        let _ = writeln!(text, "  {line}");
    }
}

/// What is the matter, each with its next step.
pub(super) fn render_reasons(printer: Printer, reasons: &[Reason]) -> String {
    let mut text = String::new();
    for reason in reasons {
        let code = reason.code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default();
        // Writing to a String does not fail.
        let _ = writeln!(text, "{} {}{code}", printer.paint(Style::Bad, "!"), reason.message);
        if let Some(hint) = &reason.hint {
            let _ = writeln!(text, "  hint: {hint}");
        }
    }
    text
}

/// The word that JSON has for a state: one spelling everywhere.
pub(super) fn word_of<T: serde::Serialize>(state: &T) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
