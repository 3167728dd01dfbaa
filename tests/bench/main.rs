//! `make bench`: what Burrow costs, each figure with the words that define it and the bar that it must stay under.
//!
//! The release binary, in folders of its own. It begins with a real `burrow up` from nothing (two minutes, online); all
//! other figures are taken with what that leaves.

mod containers; // beside the Dev Containers CLI
mod daemon; // start, memory, calls
mod debugging; // from nothing to a breakpoint
#[expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench without its engine ends, as a test does")]
#[path = "../it/container/engine.rs"]
mod engine;
mod home; // the folders, and the binary in them
mod hooks; // what a recorded run costs
mod relay; // the relay against none
mod reload; // from a save to what runs
mod report; // samples, and how they are printed
mod toolchain; // the tools in order, and a cold install
#[path = "../it/wire.rs"]
mod wire;

use anyhow::{Context, Result};
use camino::Utf8Path;

use home::Home;
use report::{Report, megabytes};

fn main() -> Result<()> {
    let home = Home::new()?;
    let mut report = Report::default();
    binary(&home.binary, &mut report)?;

    report.note("a full `burrow up` of tests/fixtures/hello-api: download, check, build three tools; hooks");
    let up = home.burrow(&home.workspaces[0], &["up"])?;
    report.once("full up", up.as_secs_f64(), "s", None, "exec to exit; empty store, empty Go caches of Burrow's own");
    daemon::memory(&home, &mut report)?;
    daemon::calls(&home, &mut report)?;
    daemon::nothing_due(&home, &mut report)?;
    toolchain::in_order(&home, &mut report)?;
    toolchain::cold_install(&home, &mut report)?;
    debugging::first_stop(&home, &mut report)?;
    relay::measure(&home, &mut report)?;
    hooks::overhead(&home, &mut report)?;
    reload::save_to_run(&home, &mut report)?;
    hooks::many_commands(&home, &mut report)?;
    hooks::throughput(&home, &mut report)?;
    containers::beside_the_reference(&home, &mut report)?;
    daemon::cold_start(&home, &mut report)?;
    report.print();
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
