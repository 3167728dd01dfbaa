//! `burrow debug log`: what a lease's dlv and program printed, past and live.

use anyhow::Result;
use burrow_protocol::SafeInt;
use burrow_protocol::debug::ReadDebugLogParams;
use burrow_protocol::methods::DebugReadLog;

use crate::cli::context::{Context, Start};
use crate::cli::exit::ExitStatus;
use crate::cli::log_lines::{LineStyle, Lines, Sink, WAIT_MS};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lease, such as lease-3; also one that has ended, if it is one of the last few
    id: String,
    /// Go on with what is printed from now on, until the lease has ended
    #[arg(long, short)]
    follow: bool,
    /// Begin each line with its time
    #[arg(long, short)]
    times: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<ExitStatus> {
    let client = context.connect_unbound(Start::Never).await?;
    let style = LineStyle { printer: context.printer, sink: Sink::Streams, times: args.times };
    let mut lines = Lines::new(String::new(), style);
    let wait_ms = if args.follow { WAIT_MS } else { 0 };
    let mut params = ReadDebugLogParams { id: args.id, offset: SafeInt::default(), attempt: 1, wait_ms };
    let mut silent = true;
    loop {
        let piece = client.call::<DebugReadLog>(params.clone()).await?;
        if context.printer.is_json() {
            context.printer.json(&piece);
        } else {
            lines.print(&piece);
        }
        silent &= piece.reads.is_empty();
        let is_all = piece.reads.is_empty() && piece.attempt == params.attempt && !args.follow;
        if piece.ended || is_all {
            break;
        }
        (params.offset, params.attempt) = (piece.next, piece.attempt);
    }
    lines.finish();
    if silent && !context.printer.is_json() {
        context.printer.note(&format!("nothing was printed in {}", params.id));
    }
    Ok(ExitStatus::Success)
}
