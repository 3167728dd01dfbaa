//! What it takes to stop at a breakpoint.

use anyhow::{Context, Result};

use crate::home::Home;
use crate::report::{Report, Samples};

/// `burrow debug try` in the handler of the fixture's service.
pub(crate) fn first_stop(home: &Home, report: &mut Report) -> Result<()> {
    const RUNS: usize = 5;
    let workspace = &home.workspaces[0];
    let source = fs_err::read_to_string(workspace.join("main.go"))?;
    let line = source.lines().position(|line| line.contains("w.Header().Set")).context("the handler's line")? + 1;
    let place = format!("main.go:{line}");
    let args = ["debug", "try", "--request", "GET /greet?name=x", place.as_str()];
    // Fills Go's build cache.
    home.burrow(workspace, &args)?;
    let times = (0..RUNS).map(|_| home.burrow(workspace, &args)).collect::<Result<Vec<_>>>()?;
    let definition =
        "exec to exit of `burrow debug try`: lease, build (warm cache), breakpoint, request, stop, clean end";
    report.median("debug try", &Samples::of(times), None, definition);
    Ok(())
}
