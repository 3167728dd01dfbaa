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
        let dir = self.config.state.dir();
        let Ok(metadata) = std::fs::symlink_metadata(dir) else { return Ok(None) };
        if let Some(why) = durable::why_not_private(&metadata, self.identity.uid) {
            return Err(ClientError::Untrusted { path: dir.to_owned(), why });
        }
        // A file that cannot be read is as good as none: whoever starts a daemon replaces it.
        Ok(durable::read_json(&self.config.state.rendezvous()).ok().flatten())
    }
}
