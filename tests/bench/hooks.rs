//! What a recorded run costs above the bare command.

use anyhow::Result;

use crate::home::{Home, program, time};
use crate::report::{Report, Samples};

/// `burrow hook run --again` of `true`, and `/bin/sh -c true` itself, in turn.
pub(crate) fn overhead(home: &Home, report: &mut Report) -> Result<()> {
    const RUNS: usize = 50;
    let workspace = &home.workspaces[1];
    let config = r#"{ "postStartCommand": "true" }"#;
    write(&workspace.join(".devcontainer/devcontainer.json"), config)?;
    let (mut bare, mut recorded) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        bare.push(time(program("/bin/sh").args(["-c", "true"]))?);
        recorded.push(home.burrow(workspace, &["hook", "run", "--again", "postStart"])?);
    }
    let (bare, recorded) = (Samples::of(bare), Samples::of(recorded));
    report.median("bare command", &bare, None, "spawn to exit of `/bin/sh -c true`");
    report.median(
        "recorded run",
        &recorded,
        None,
        "exec to exit of `burrow hook run --again` of the same; daemon running",
    );
    let ratio = recorded.median() / bare.median();
    report.once("recorded / bare", ratio, "times", None, "the medians, taken in turn in one run");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a bench writes what the daemon then reads")]
fn write(path: &camino::Utf8Path, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text)?)
}
