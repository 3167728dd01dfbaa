//! A pause before a program, spent by the program's own process: whoever started it may end or be replaced meanwhile.
//!
//! That process is this binary in the role `after`. It has the environment, the folder and the streams of the program, so
//! its shim, and a daemon that takes it over, find in it what they will find in the program.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use rustix::event::poll;

use super::ShimSpec;

/// The role's name, as the first argument.
pub const ROLE: &str = "after";

/// The exit code of a shell where a program cannot be run.
const CANNOT_RUN: u8 = 127;

/// The command of `spec`, which begins after `pause`.
#[must_use]
pub fn after(pause: Duration, mut spec: ShimSpec) -> ShimSpec {
    if !pause.is_zero() {
        // In the shim's child that is the very binary of the shim.
        let role = ["/proc/self/exe".to_owned(), ROLE.to_owned(), pause.as_millis().to_string()];
        spec.argv.splice(0..0, role);
    }
    spec
}

/// The role of the binary: waits, then becomes the program. `arguments` are the milliseconds, the program, and what is for
/// that one. Called before any thread exists.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "it becomes the program, as the shim's child would have")]
pub fn after_main(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let millis = arguments.next().and_then(|millis| millis.to_str()?.parse().ok());
    let (Some(millis), Some(program)) = (millis, arguments.next()) else { return ExitCode::from(CANNOT_RUN) };
    let end = Instant::now() + Duration::from_millis(millis);
    while let Some(rest) = end.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        // Cut short by a signal: then there is more to wait for.
        let _ = poll(&mut [], rest.try_into().ok().as_ref());
    }
    // Comes back only where it cannot be run.
    let error = Command::new(&program).args(arguments).exec();
    // Into the program's own log; nobody is there to hear that it is full.
    let _ = writeln!(std::io::stderr(), "{}: {error}", program.display());
    ExitCode::from(CANNOT_RUN)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::after;
    use crate::process::{SCHEMA, ShimSpec, Survivors};

    #[test]
    fn the_pause_stands_before_the_program() {
        let spec = || ShimSpec {
            schema: SCHEMA,
            run: "r".to_owned(),
            folder: "/r".into(),
            argv: ["sh", "-c", "true"].map(str::to_owned).to_vec(),
            env: [].into(),
            cwd: "/".into(),
            timeout_ms: None,
            grace_ms: 0,
            leak_ms: 0,
            secrets: Vec::new(),
            survivors: Survivors::EndAlways,
            lifeline: false,
            tty: None,
            interrupt: false,
        };
        let argv = after(Duration::from_secs(2), spec()).argv;
        assert_eq!(argv, ["/proc/self/exe", "after", "2000", "sh", "-c", "true"]);
        assert_eq!(after(Duration::ZERO, spec()), spec(), "no pause, nothing in between");
    }
}
