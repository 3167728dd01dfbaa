//! The rendezvous: where the daemon of which user is.

use burrow_protocol::session::Rendezvous;

use super::ClientError;
use crate::config::Config;
use crate::durable;
use crate::process::user::User;

/// Whose daemon is looked for.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The user as whom it runs.
    pub uid: u32,
    /// Its account, where it is another one than ours and we may become it.
    pub become_user: Option<User>,
}

/// Looks for a daemon.
#[derive(Clone, Debug)]
pub struct Finder {
    /// The settings of this process, for that user.
    pub config: Config,
    /// Whose daemon it is.
    pub identity: Identity,
}

impl Finder {
    /// What the state directory says of a running daemon; `None` where it says nothing.
    ///
    /// # Errors
    /// [`ClientError::Untrusted`] where another user could have prepared the directory.
    pub fn rendezvous(&self) -> Result<Option<Rendezvous>, ClientError> {
        use std::os::unix::fs::MetadataExt;
        let dir = self.config.state.dir();
        let Ok(metadata) = std::fs::symlink_metadata(dir) else { return Ok(None) };
        let untrusted = |why: &str| ClientError::Untrusted { path: dir.to_owned(), why: why.to_owned() };
        if !metadata.is_dir() {
            return Err(untrusted("it is a link, or no directory"));
        }
        if metadata.uid() != self.identity.uid {
            return Err(untrusted(&format!("it belongs to uid {}, not {}", metadata.uid(), self.identity.uid)));
        }
        if metadata.mode() & 0o077 != 0 {
            return Err(untrusted("others may enter it (its mode should be 0700)"));
        }
        // A file that cannot be read is as good as none: whoever starts a daemon replaces it.
        Ok(durable::read_json(&self.config.state.rendezvous()).ok().flatten())
    }
}
