//! Parsers of the files in a workspace. No state and no effects but reading: every module may use them, before trust too.

pub mod air;
pub mod bingo;
pub mod devcontainer;
pub mod dotenv;
pub mod glob;
pub mod go_mod;
pub mod go_work;
pub mod hooks;
pub mod jsonc;
pub mod lexical;
pub mod mise;
pub mod modules;
pub mod root;
pub mod substitute;
pub mod text;
pub mod tool_versions;
