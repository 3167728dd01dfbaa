//! Where the daemon runs: the kind of machine, which container this is, and which start of it.
//!
//! Not here yet: what only the engine's socket can tell (ports, mounts with the host's paths, labels).

mod identity; // the container's id and its start, in a file that a copy of the container does not fool
mod mountinfo; // pure: what /proc/self/mountinfo tells of the container

pub use identity::{IdentityError, current_start, identify};
