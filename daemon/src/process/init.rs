//! The container's own command, in the place of this process or below it.
//!
//! Where this process is PID 1 nobody else reaps what is orphaned in the container, and no signal has a default: it stays,
//! as the parent of the command. Anywhere else somebody is there for that, and the command takes this process's place.
//!
//! Invariants: signals reach the command, and it alone; when it has ended, everything else in the container gets TERM and
//! some time; what this process returns is the command's own code.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, kill_process_group, wait};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// How long what is left in the container has to end with its command.
const REST: Duration = Duration::from_secs(5);
/// How long the preparation may take before the command starts without it.
const PREPARATION: Duration = Duration::from_secs(10);

/// How a program that cannot be started is told, as shells do.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;

/// The command could not be started.
#[derive(Debug, thiserror::Error)]
#[error("run {program}")]
pub struct NotStarted {
    /// As written.
    pub program: String,
    /// Why.
    pub source: io::Error,
}

impl NotStarted {
    /// The exit code that says so.
    #[must_use]
    pub fn code(&self) -> u8 {
        if self.source.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_STARTED }
    }
}

/// Runs this binary with the argument `prepare` to its end, then `command` (a program and its arguments) as the container's
/// own, and returns the command's exit code. The preparation's result does not count. Where this process is not PID 1 it
/// returns only where the command cannot be started.
///
/// # Errors
/// [`NotStarted`].
pub fn run_as_container(prepare: &str, command: &[OsString]) -> Result<u8, NotStarted> {
    let Some((program, arguments)) = command.split_first() else { return Ok(0) };
    let failed = |source| NotStarted { program: program.to_string_lossy().into_owned(), source };
    let mut command = spawnable(program);
    command.args(arguments);
    let mut preparation = std::env::current_exe().ok().map(|own| {
        let mut preparation = spawnable(own.as_os_str());
        preparation.arg(prepare);
        preparation
    });
    if rustix::process::getpid() == Pid::INIT {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        return runtime.block_on(supervise(preparation, command)).map_err(failed);
    }
    // It bounds itself; a daemon that it starts is a child of its own, never one of the command's.
    let _ = preparation.as_mut().map(Command::status);
    Err(failed(command.exec()))
}

#[expect(clippy::disallowed_methods, reason = "this is the module that spawns")]
fn spawnable(program: &std::ffi::OsStr) -> Command {
    Command::new(program)
}

async fn supervise(preparation: Option<Command>, mut command: Command) -> io::Result<u8> {
    // Before anything runs: PID 1 has no defaults, and what comes earlier is lost.
    let mut forwarded = catch_all();
    let mut child_signals = signal(SignalKind::child())?;
    if let Some(preparation) = preparation {
        let mut preparation = tokio::process::Command::from(preparation);
        let _ = timeout(PREPARATION, preparation.status()).await;
    }
    // A group of its own, as a shell gives: what a terminal sends reaches it once.
    let child = command.process_group(0).spawn()?;
    let pid = Pid::from_child(&child);
    to_foreground(pid);
    let code = loop {
        if let Some(code) = reap(pid).0 {
            break code;
        }
        tokio::select! {
            _ = child_signals.recv() => {}
            Some(signal) = forwarded.recv() => {
                // It may have ended just now.
                let _ = kill_process(pid, signal);
            }
        }
    };
    // `kill(-1)`: all but PID 1 itself.
    let _ = kill_process_group(Pid::INIT, Signal::TERM);
    let deadline = Instant::now() + REST;
    while !reap(pid).1 && timeout_at(deadline, child_signals.recv()).await.is_ok() {}
    Ok(code)
}

/// Takes in all that has ended: the exit code of `command` where it is among them, and whether no child is left.
fn reap(command: Pid) -> (Option<u8>, bool) {
    let mut code = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => code = Some(code_of(status)),
            Ok(Some(_)) => {}
            Ok(None) => return (code, false),
            Err(_) => return (code, true),
        }
    }
}

/// As shells have it: a signal is 128 and its number.
fn code_of(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    u8::try_from(code.unwrap_or_default()).unwrap_or(u8::MAX)
}

/// Lets the command read from the terminal, where this process has one. It may have tried already, and been stopped.
fn to_foreground(command: Pid) {
    if rustix::termios::tcsetpgrp(std::io::stdin(), command).is_ok() {
        let _ = kill_process_group(command, Signal::CONT);
    }
}

/// Every signal that a container may be sent, from here on.
fn catch_all() -> mpsc::UnboundedReceiver<Signal> {
    let (sender, receiver) = mpsc::unbounded_channel();
    // 32 and 33 are the C library's own. Of the real-time signals behind them an image may name one as its STOPSIGNAL.
    for number in (1..32).chain(34..=64) {
        let forwarded = by_number(number);
        if !is_for_the_command(forwarded) {
            continue;
        }
        let Ok(mut signals) = signal(SignalKind::from_raw(number)) else { continue };
        let sender = sender.clone();
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(forwarded).is_ok() {} });
    }
    receiver
}

/// One of 1..=64, as the kernel has them.
#[expect(unsafe_code, reason = "rustix names no real-time signal; this only hands on what the kernel delivered to us")]
fn by_number(number: i32) -> Signal {
    // SAFETY: it is a signal's number, and none that the C library uses itself.
    unsafe { Signal::from_raw_unchecked(number) }
}

/// Not those that the kernel keeps, that tell of a fault of our own, or that are ours to answer.
fn is_for_the_command(signal: Signal) -> bool {
    let kept = [Signal::KILL, Signal::STOP];
    let faults = [Signal::ILL, Signal::TRAP, Signal::ABORT, Signal::BUS, Signal::FPE, Signal::SEGV, Signal::SYS];
    let ours = [Signal::CHILD, Signal::PIPE, Signal::TTIN, Signal::TTOU];
    ![kept.as_slice(), &faults, &ours].concat().contains(&signal)
}

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::is_for_the_command;

    #[test]
    fn what_a_container_is_stopped_by_reaches_its_command() {
        for (signal, expected, why) in [
            (Signal::TERM, true, "the usual way to stop one"),
            (Signal::QUIT, true, "the STOPSIGNAL of some images"),
            (super::by_number(37), true, "SIGRTMIN+3, the STOPSIGNAL of systemd"),
            (Signal::WINCH, true, "the STOPSIGNAL of others, and a terminal's new size"),
            (Signal::CHILD, false, "its own children are not the command's"),
            (Signal::SEGV, false, "a fault is where it happened"),
            (Signal::KILL, false, "nobody can catch it"),
        ] {
            assert_eq!(is_for_the_command(signal), expected, "{why}");
        }
    }
}
