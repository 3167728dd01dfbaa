//! The shim: the parent of one command.

use std::process::ExitCode;

/// The shim's role of the binary. Called before any thread exists.
pub fn shim_main() -> ExitCode {
    ExitCode::FAILURE
}
