//! `make bench`: what Burrow costs, each figure with the words that define it and the bar that it must stay under.
//!
//! The release binary, in folders of its own. It begins with a real `burrow up` from nothing (two minutes, online); all
//! other figures are taken with what that leaves. `make bench ROWS="hook output"` takes those alone.

mod containers; // beside the Dev Containers CLI
mod daemon; // start, memory, calls
mod debugging; // from nothing to a breakpoint
#[expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench without its engine ends, as a test does")]
#[path = "../it/container/engine.rs"]
mod engine;
mod feature; // what the Feature adds to an image and to a start
mod home; // the folders, and the binary in them
mod hooks; // what a recorded run costs
mod relay; // the relay against none
mod reload; // from a save to what runs
mod report; // samples, and how they are printed
mod stopped; // from a save to the debugger in it
mod toolchain; // the tools in order, and a cold install
#[path = "../it/wire.rs"]
mod wire;

use anyhow::{Context, Result, bail, ensure};
use camino::Utf8Path;

use home::Home;
use report::{Report, megabytes};

type Measure = fn(&Home, &mut Report) -> Result<()>;

/// What is measured, in this order, each under the name that chooses it.
const MEASURES: &[(&str, Measure)] = &[
    ("up", full_up),
    ("memory", daemon::memory),
    ("calls", daemon::calls),
    ("nothing-due", daemon::nothing_due),
    // Before rows that leave many removed files: for minutes ext4 passes over the number of each, one by one, whenever it
    // makes a new file, and these two make many.
    ("commands", hooks::many_commands),
    ("hook", hooks::overhead),
    ("tools", toolchain::in_order),
    ("install", toolchain::cold_install),
    ("first-stop", debugging::first_stop),
    ("relay", relay::measure),
    ("reload", reload::save_to_run),
    ("reload", stopped::save_to_stopped),
    ("output", hooks::throughput),
    ("feature", feature::cost),
    ("reference", containers::beside_the_reference),
    ("start", daemon::cold_start),
];

fn main() -> Result<()> {
    // Cargo adds `--bench`.
    let chosen: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_known = |name: &String| MEASURES.iter().any(|(known, _)| known == name);
    if let Some(unknown) = chosen.iter().find(|name| !is_known(name)) {
        let names: Vec<_> = MEASURES.iter().map(|(name, _)| *name).collect();
        bail!("there is no measure `{unknown}`; there are {}", names.join(", "));
    }
    let home = Home::new()?;
    let mut report = Report::default();
    binary(&home.binary, &mut report)?;
    home.burrow(&home.workspaces[0], &["start"])?;
    let mut failed = Vec::new();
    for (name, measure) in MEASURES {
        if (chosen.is_empty() || chosen.iter().any(|choice| choice == name))
            && let Err(error) = measure(&home, &mut report)
        {
            failed.push(format!("{name}: {error:#}"));
        }
    }
    // What was measured is shown, whatever else failed.
    report.print();
    ensure!(failed.is_empty(), "not measured:\n{}", failed.join("\n"));
    Ok(())
}

fn full_up(home: &Home, report: &mut Report) -> Result<()> {
    report.note("a full `burrow up` of tests/fixtures/hello-api: download, check, build three tools; hooks");
    let up = home.burrow(&home.workspaces[0], &["up"])?;
    report.once("full up", up.as_secs_f64(), "s", None, "exec to exit; empty store, empty Go caches of Burrow's own");
    Ok(())
}

fn binary(path: &Utf8Path, report: &mut Report) -> Result<()> {
    let bytes = fs_err::read(path)?;
    let file = object::read::elf::ElfFile64::<object::Endianness>::parse(&*bytes).context("read the binary as ELF")?;
    let headers = file.elf_program_headers().iter();
    let loader = headers.filter(|header| header.p_type.get(file.endian()) == object::elf::PT_INTERP).count();
    report.once("binary", megabytes(bytes.len()), "MB", Some(10.0), "the release binary's file, stripped");
    report.once("loaders", if loader == 0 { 0.0 } else { 1.0 }, "", Some(0.0), "PT_INTERP headers: 0 is static");
    Ok(())
}
