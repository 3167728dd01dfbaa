//! `burrow hook log`: what a hook printed, past and live.

use std::collections::VecDeque;

use anyhow::Result;
use burrow_protocol::error::{ErrorCode, ErrorData};
use burrow_protocol::hooks::{
    AwaitHooksParams, CommandStanding, CommandStatus, HookState, HookStatus, ListRunsParams, LogRead, RunSummary,
};
use burrow_protocol::methods::{HooksAwait, HooksRuns};
use jiff::Timestamp;

use super::follow::{Tail, follow_run, lines_of};
use super::target::Target;
use crate::cli::context::{Context, Start};
use crate::cli::exit::{ExitStatus, Told};
use crate::cli::link::Link;
use crate::cli::log_lines::{LineStyle, Lines, Sink};
use crate::cli::status::word_of;
use crate::client::ClientError;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which hook, or which of its commands
    #[arg(value_name = "HOOK[/COMMAND]")]
    target: Target,
    /// Go on with what it prints from now on, until it has ended
    #[arg(long, short)]
    follow: bool,
    /// Begin each line with its time
    #[arg(long, short)]
    times: bool,
    /// Which run, such as `12-postCreate` [default: the newest]
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let link = Link::open(context, Start::IfNeeded).await?;
    let params = ListRunsParams { workspace: context.workspace().to_string(), hook: Some(args.target.hook) };
    let listed = link.ask::<HooksRuns>(params).await?;
    let Some(run) = choose(listed.runs, &args) else { return Err(unknown(&link, context, &args).await?.into()) };
    let style = LineStyle { printer: context.printer, sink: Sink::Streams, times: args.times };
    let not_run = not_run(&args, &run);
    if context.printer.is_json() {
        context.printer.json(&run);
    } else if let Some(told) = not_run.filter(|_| !args.follow) {
        return Err(told.into());
    } else if args.follow {
        follow_run(&link, context.workspace(), &run, style, false).await?;
    } else {
        print(&link, context, &run, style).await?;
    }
    Ok(ExitStatus::Success)
}

/// The run that is meant, with only the commands that are meant.
fn choose(runs: Vec<RunSummary>, args: &Args) -> Option<RunSummary> {
    let is_meant = |run: &RunSummary| match (&args.run, &args.target.command) {
        (Some(id), _) => run.run_id == *id,
        (None, Some(command)) => run.commands.contains(command),
        (None, None) => args.follow || run.state != HookState::Pending,
    };
    let mut run = runs.into_iter().find(is_meant)?;
    if let Some(command) = &args.target.command {
        run.commands.retain(|name| name == command);
    }
    Some(run)
}

/// Why there is no log of what is meant.
async fn unknown(link: &Link<'_>, context: &Context, args: &Args) -> Result<Told> {
    let now = AwaitHooksParams::now(context.workspace().as_str());
    let hooks = link.ask::<HooksAwait>(now).await?.hooks;
    let message = match &args.run {
        Some(run) => format!("{run} is no run of {} on record", args.target.hook),
        None => without_log(&hooks, &args.target),
    };
    Ok(Told(ErrorData::new(ErrorCode::RunUnknown, message, Some("see `burrow hook list`".to_owned()))))
}

/// What is to be said of a hook of which no run is on record: old ones are removed, and a tool has its own.
fn without_log(hooks: &[HookStatus], target: &Target) -> String {
    let is_meant = |name: &str| target.command.as_ref().is_none_or(|command| command == name);
    let of_hook = hooks.iter().filter(|hook| hook.name == target.hook).flat_map(|hook| &hook.commands);
    let meant: Vec<_> = of_hook.filter(|command| is_meant(&command.name)).collect();
    let ran = |command: &&&CommandStatus| command.run_id.is_some() && command.state != HookState::Pending;
    if let Some(command) = meant.iter().find(ran) {
        let run = command.run_id.as_deref().unwrap_or_default();
        return format!("{target} {}, and the log of {run} is no longer kept", word_of(&command.state));
    }
    match meant.iter().any(|command| command.state == HookState::External) {
        true => format!("{target} is run by a Dev Containers tool, and its output is in that tool's log"),
        false => format!("{target} has not run"),
    }
}

/// A command that is a part of the run and has not begun in it: it has no output, and has not printed nothing either.
fn not_run(args: &Args, run: &RunSummary) -> Option<Told> {
    let has_begun = |standing: &CommandStanding| !matches!(standing.state, HookState::Pending | HookState::Blocked);
    let of_target = || run.standings.iter().filter(|standing| run.commands.contains(&standing.name));
    if of_target().next().is_none() || of_target().any(has_begun) {
        return None;
    }
    let why = of_target().find_map(|standing| standing.reason.clone()).map(|why| format!(": {why}"));
    let message = format!("{} has not run{}", args.target, why.unwrap_or_default());
    Some(Told(ErrorData::new(ErrorCode::RunUnknown, message, Some("see `burrow hook list`".to_owned()))))
}

/// What one command has printed so far.
struct Source {
    tail: Tail,
    lines: Lines,
    reads: VecDeque<LogRead>,
    exhausted: bool,
}

impl Source {
    async fn fill(&mut self, link: &Link<'_>) -> Result<(), ClientError> {
        while self.reads.is_empty() && !self.exhausted {
            match self.tail.next(link, 0).await? {
                Some(piece) if !piece.reads.is_empty() || piece.cut.get() > 0 => {
                    self.lines.tell_cut(&piece);
                    self.reads.extend(piece.reads);
                }
                // What was read of the start before is printed by now.
                Some(piece) if self.lines.is_later(&piece) => self.lines.tell_attempt(&piece),
                Some(_) | None => self.exhausted = true,
            }
        }
        Ok(())
    }
}

/// Prints what there is, the commands' output merged by time.
async fn print(link: &Link<'_>, context: &Context, run: &RunSummary, style: LineStyle) -> Result<()> {
    let mut sources: Vec<_> = run
        .commands
        .iter()
        .map(|command| Source {
            tail: Tail::new(context.workspace(), &run.run_id, command, false),
            lines: lines_of(run, command, style),
            reads: VecDeque::new(),
            exhausted: false,
        })
        .collect();
    let mut silent = true;
    loop {
        for source in &mut sources {
            source.fill(link).await?;
        }
        let time = |source: &Source| source.reads.front().and_then(|read| read.time.parse::<Timestamp>().ok());
        let oldest = sources.iter_mut().filter(|source| !source.reads.is_empty()).min_by_key(|source| time(source));
        let Some(source) = oldest else { break };
        silent = false;
        if let Some(read) = source.reads.pop_front() {
            source.lines.add(&read);
        }
    }
    sources.iter_mut().for_each(|source| source.lines.finish());
    if silent {
        context.printer.note(&format!("{} has printed nothing", run.run_id));
    }
    for standing in run.standings.iter().filter(|standing| run.commands.contains(&standing.name)) {
        if matches!(standing.state, HookState::Pending | HookState::Blocked) {
            let why = standing.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            context.printer.note(&format!("[{}] has not run{why}", standing.name));
        }
    }
    Ok(())
}
