//! Burrow: the companion daemon of a Go dev container.
//!
//! One binary, three roles, chosen in `main.rs` before any thread exists: the shim of a run ([`process`]), the daemon
//! ([`daemon`]), or a command line that speaks to the daemon ([`cli`], through [`client`]).
//!
//! Who may know whom: `main -> cli -> client -> protocol`; `daemon -> rpc, hooks, toolchain, debug, workspace, container,
//! watch -> process, durable`. The services (`hooks`, `toolchain`, `debug`) never import each other: what one shows it
//! publishes in [`model`].

pub mod coded;
pub mod config;
pub mod daemon;
pub mod durable;
pub mod duration;
#[doc(hidden)]
pub mod fuzzing;
pub mod hex;
mod memory;
pub mod model;
pub mod process;
pub mod rebuild;

pub mod debug;
pub mod hooks;
pub mod reload;
pub mod toolchain;

pub mod client;
pub mod container;
pub mod watch;
pub mod workspace;

pub mod cli;
pub mod rpc;
