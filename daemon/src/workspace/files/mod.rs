//! workspace/files.
pub mod go_mod;
pub mod go_work;
