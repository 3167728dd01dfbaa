//! Tests of the real binary, each in a [`sandbox::Sandbox`] of its own.
//!
//! One crate for all of them, so that the binary is linked once. A part's tests lie in the file of its name.
#![cfg(test)] // Always so here; it tells clippy that helpers of tests may unwrap.

mod container;
mod credentials;
mod daemon;
mod debug;
mod environment;
mod errors;
mod faults;
mod fuzz_corpora;
mod hooks;
mod machine;
mod output;
mod process;
mod project;
mod reload;
mod sandbox;
mod steps;
mod toolchain;
mod wire;
