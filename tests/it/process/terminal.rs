//! Commands in a terminal of their own.

use burrow::process::{End, ProcessError, ShimSpec, Stream, TerminalSize, terminal};

use super::*;

fn in_terminal(stage: &Stage, script: &str) -> ShimSpec {
    ShimSpec { tty: Some(TerminalSize { rows: 30, cols: 100 }), ..stage.script(script) }
}

/// The output once it ends with `expected`.
async fn wait_for_output(stage: &Stage, shim: &Shim, expected: &str) {
    let mut output = shim.output();
    loop {
        output.mark_unchanged();
        let seen = if *output.borrow() == 0 { String::new() } else { stage.output(Stream::Stdout) };
        if seen.ends_with(expected) {
            return;
        }
        let grown = tokio::time::timeout(SOON, output.changed()).await;
        assert!(matches!(grown, Ok(Ok(()))), "waits for {expected:?}; the output is {seen:?}");
    }
}

/// A command has the terminal for all three streams, can be typed into, and learns of a new size.
#[test]
fn command_in_a_terminal_is_typed_into() {
    let stage = Stage::new();
    let script = "test -t 0 && test -t 1 && test -t 2 && stty size; echo $TERM; \
                  read line; echo \"got $line\"; read line; stty size";
    block_on(async {
        let mut shim = begin(in_terminal(&stage, script)).await.unwrap();
        wait_for_output(&stage, &shim, "30 100\r\nxterm-256color\r\n").await;
        terminal::input(stage.folder().dir(), "one\n").await.unwrap();
        wait_for_output(&stage, &shim, "one\r\ngot one\r\n").await;
        terminal::resize(stage.folder().dir(), TerminalSize { rows: 40, cols: 120 }).await.unwrap();
        terminal::input(stage.folder().dir(), "two\n").await.unwrap();
        assert_eq!(outcome(&mut shim).await.end, End::Exited { code: 0 });
    });
    assert!(stage.output(Stream::Stdout).ends_with("two\r\n40 120\r\n"), "{}", stage.output(Stream::Stdout));
    let late = block_on(terminal::input(stage.folder().dir(), "x"));
    assert!(matches!(late, Err(ProcessError::NotRunning)), "{late:?}");
    stage.nothing_is_left();
}

/// Ctrl-C reaches the foreground of the command as in any terminal.
#[test]
fn interrupt_is_typed() {
    let stage = Stage::new();
    block_on(async {
        // `exec`: a shell that is just about to start its child may keep the signal from it.
        let mut shim = begin(in_terminal(&stage, "echo up; exec sleep 600")).await.unwrap();
        wait_for_output(&stage, &shim, "up\r\n").await;
        terminal::input(stage.folder().dir(), "\u{3}").await.unwrap();
        assert_eq!(outcome(&mut shim).await.end, End::Signaled { signal: 2, out_of_memory: false });
    });
    stage.nothing_is_left();
}

/// A command that reads nothing can be typed into without end, and ended all the same.
#[test]
fn typing_ahead_holds_up_nobody() {
    let stage = Stage::new();
    block_on(async {
        let mut shim = begin(in_terminal(&stage, "stty raw -echo; echo up; sleep 600")).await.unwrap();
        wait_for_output(&stage, &shim, "up\n").await;
        for _ in 0..4 {
            terminal::input(stage.folder().dir(), &"x".repeat(50_000)).await.unwrap();
        }
        shim.cancel().await.unwrap();
        assert_eq!(outcome(&mut shim).await.end, End::Cancelled);
    });
    stage.nothing_is_left();
}

/// Where there is no terminal there is nothing to type into, and nothing on standard input.
#[test]
fn command_without_a_terminal_cannot_be_typed_into() {
    let stage = Stage::new();
    block_on(async {
        let mut shim =
            begin(stage.script("test ! -t 1; echo $?; until test -e go; do sleep 0.01; done")).await.unwrap();
        let typed = terminal::input(stage.folder().dir(), "x").await;
        assert!(matches!(typed, Err(ProcessError::NoTerminal)), "{typed:?}");
        stage.touch("go");
        outcome(&mut shim).await;
    });
    assert_eq!(stage.output(Stream::Stdout), "0\n");
}
