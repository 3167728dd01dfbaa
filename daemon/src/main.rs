//! `burrow`: the shim of a run, the daemon, or a command line. Which one is decided before any thread exists: the shim is
//! single-threaded by nature, and privileges can only be dropped then.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == "shim") {
        return burrow::process::shim_main();
    }
    burrow::cli::main()
}
