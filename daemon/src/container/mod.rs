//! Where the daemon runs: the kind of machine, which container this is, which start of it, and what is around it.

mod engine; // what the engine says, over its socket: the only one that knows bollard
mod feature; // what the Features leave in an image
mod host_paths; // pure: paths here and the same on the host
mod identity; // the container's id and its start, in a file that a copy of the container does not fool
mod mountinfo; // pure: what /proc/self/mountinfo tells of the container
mod ownership; // mending the owner of Burrow's own folders, as root
mod surroundings; // all that is known of what is around the container

pub use feature::{FeatureError, has_state, remote_user, state_of};
pub use host_paths::{to_container, to_host};
pub use identity::{IdentityError, current_start, identify, is_one};
pub use ownership::{Caches, MendError, caches, lead_tools, mend_caches, mend_state};
pub use surroundings::look_around;
