//! One open folder: its settings, read again when their files change.
//!
//! Not here: what is done with the settings (`hooks`, `toolchain`).

pub mod files;
pub mod trust;

use std::sync::Arc;

use burrow_protocol::model::Reason;
use camino::Utf8Path;
use tokio::sync::watch;

use crate::model::WorkspacePublisher;
use files::devcontainer::{self, Settings};

/// Reads the settings of the folder at `root` and shows what is wrong with them. Blocks.
#[must_use]
pub fn read_settings(root: &Utf8Path, publisher: &WorkspacePublisher) -> Arc<Settings> {
    let settings = Arc::new(devcontainer::read(root));
    publisher.settings(&settings.problems.iter().map(Reason::from).collect::<Vec<_>>());
    settings
}

/// Reads the settings again and tells those who follow them, if they changed. Blocks.
pub fn reread_settings(root: &Utf8Path, publisher: &WorkspacePublisher, settings: &watch::Sender<Arc<Settings>>) {
    let mut new = read_settings(root, publisher);
    settings.send_if_modified(|old| {
        if new.is_broken() {
            // What is secret stays so while the file is half saved.
            Arc::make_mut(&mut new).burrow.secrets.clone_from(&old.burrow.secrets);
        }
        let changed = **old != *new;
        *old = new;
        changed
    });
}
