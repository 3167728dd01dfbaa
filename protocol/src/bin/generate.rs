//! `make generate`: writes every file that is generated from this crate. With `--check` it writes nothing, names the
//! stale ones and exits with 1.

use std::io::{Error, Write};
use std::process::ExitCode;

fn main() -> Result<ExitCode, Error> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("--check") => true,
        Some(other) => return Err(Error::other(format!("unknown argument `{other}`; there is only `--check`"))),
    };
    let stale: Vec<_> = burrow_protocol::generate::files().into_iter().filter(|file| !file.is_current()).collect();
    let mut out = std::io::stderr().lock();
    for file in &stale {
        if check {
            writeln!(out, "stale: {}", file.path)?;
        } else {
            file.write()?;
            writeln!(out, "wrote {}", file.path)?;
        }
    }
    if check && !stale.is_empty() {
        writeln!(out, "hint: run `make generate`")?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
