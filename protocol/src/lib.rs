//! What crosses Burrow's socket, and nothing else: the types, the methods, the error codes, the framing.
//!
//! Rust is the single source. `generate` (feature of the same name) writes the TypeScript types, the JSON Schemas
//! and `PROTOCOL.md` from it; a test fails when they are stale.
//!
//! Invariants: no 64-bit integer crosses the wire (times are RFC 3339 text, durations `u32` milliseconds, offsets a
//! [`SafeInt`]); names are camelCase; a field is only ever added, never given another meaning.
//!
//! Not here: IO, and anything that only one side needs to know.

/// The protocol this build speaks. A daemon serves this version and the one before it.
pub const PROTOCOL_VERSION: u32 = 1;
/// The oldest protocol a daemon of this build still serves.
pub const OLDEST_PROTOCOL_VERSION: u32 = 1;

/// Gives every item the derives that a type on the wire has: one place for all of them.
macro_rules! wire {
    ($($(#[$meta:meta])* $vis:vis $kind:ident $name:ident $body:tt)*) => {
        $(
            #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
            #[cfg_attr(feature = "generate", derive(ts_rs::TS, schemars::JsonSchema))]
            #[serde(rename_all = "camelCase")]
            $(#[$meta])*
            $vis $kind $name $body
        )*
    };
}

pub mod debug;
pub mod error;
pub mod framing;
#[cfg(feature = "generate")]
pub mod generate;
pub mod hooks;
pub mod lock;
pub mod methods;
pub mod model;
pub mod reload;
pub mod session;
pub mod settings;
pub mod toolchain;

mod safe_int;
pub use safe_int::SafeInt;
