//! Where the daemon runs: the kind of machine, which container this is, and which start of it.
//!
//! Not here yet: what only the engine's socket can tell (ports, mounts with the host's paths, labels).

mod feature; // what the Features leave in an image
mod identity; // the container's id and its start, in a file that a copy of the container does not fool
mod mountinfo; // pure: what /proc/self/mountinfo tells of the container
mod ownership; // mending the owner of Burrow's own folders, as root

pub use feature::remote_user;
pub use identity::{IdentityError, current_start, identify, is_one};
pub use ownership::{MendError, mend};
