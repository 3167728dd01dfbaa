//! `burrow`: the shim of a run, a pause before its command, the daemon, or a command line. Which one is decided before any thread exists: the shim is
//! single-threaded by nature, and privileges can only be dropped then.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(first) if first == "shim" => burrow::process::shim_main(arguments),
        Some(first) if first == burrow::process::AFTER_ROLE => burrow::process::after_main(arguments),
        _ => burrow::cli::main(),
    }
}
