//! Who has a workspace open, and whether work that nobody asked for may be done in it. Pure, but for the channel around it.
//!
//! Such work takes a window that trusts the folder, or a call of the command line by somebody who sits in front of it. One
//! window that does not trust the folder stops it: there it is open in an editor that may not run anything of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::process::Caller;

/// Who has the workspace open, and who vouched for it since the daemon started. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    state: Arc<watch::Sender<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// The windows that are open, the newest last.
    windows: BTreeMap<u64, Caller>,
    opened: u64,
    called_from_a_terminal: bool,
}

/// A window that has the workspace open until this is dropped.
#[derive(Debug)]
pub struct OpenWindow {
    trust: Trust,
    number: u64,
}

/// Tells that windows were opened or closed.
#[derive(Debug)]
pub struct WindowChanges(watch::Receiver<State>);

impl Trust {
    /// A window opened the workspace.
    #[must_use]
    pub fn window(&self, caller: Caller) -> OpenWindow {
        let mut number = 0;
        self.state.send_modify(|state| {
            state.opened += 1;
            number = state.opened;
            state.windows.insert(number, caller);
        });
        OpenWindow { trust: self.clone(), number }
    }

    /// Somebody in front of a terminal called the command line here.
    pub fn called_from_a_terminal(&self) {
        self.state.send_modify(|state| state.called_from_a_terminal = true);
    }

    /// Whether work that nobody asked for may be done now.
    #[must_use]
    pub fn allows_background_work(&self) -> bool {
        let state = self.state.borrow();
        let trusted = state.windows.values().any(|window| window.trusted);
        (trusted || state.called_from_a_terminal) && state.windows.values().all(|window| window.trusted)
    }

    /// The newest of the open windows that trust the folder.
    #[must_use]
    pub fn trusted_window(&self) -> Option<Caller> {
        self.state.borrow().windows.values().rev().find(|window| window.trusted).cloned()
    }

    /// Windows that are opened and closed from here on.
    #[must_use]
    pub fn changes(&self) -> WindowChanges {
        WindowChanges(self.state.subscribe())
    }
}

impl WindowChanges {
    /// Resolves when something has changed since the last call; never, once nobody can open a window any more.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for OpenWindow {
    fn drop(&mut self) {
        self.trust.state.send_modify(|state| drop(state.windows.remove(&self.number)));
    }
}

#[cfg(test)]
mod tests {
    use super::Trust;
    use crate::process::Caller;

    fn window(trusted: bool) -> Caller {
        Caller { trusted, ..Caller::default() }
    }

    #[test]
    fn one_window_that_does_not_trust_stops_it() {
        let trust = Trust::default();
        assert!(!trust.allows_background_work(), "nobody vouched for the folder");
        let trusted = trust.window(window(true));
        assert!(trust.allows_background_work());
        let untrusted = trust.window(window(false));
        assert!(!trust.allows_background_work(), "whatever others say");
        trust.called_from_a_terminal();
        assert!(!trust.allows_background_work(), "a terminal does not outweigh it");
        drop(untrusted);
        drop(trusted);
        assert!(trust.allows_background_work(), "the call from a terminal still counts");
    }

    #[test]
    fn the_newest_trusted_window_is_the_one_that_counts() {
        let trust = Trust::default();
        let at = |cwd: &str, trusted| Caller { cwd: cwd.into(), ..window(trusted) };
        let cwd = || trust.trusted_window().map(|caller| caller.cwd);
        let _untrusted = trust.window(at("/untrusted", false));
        assert_eq!(cwd(), None, "one that does not trust the folder vouches for nothing");
        let _first = trust.window(at("/first", true));
        let second = trust.window(at("/second", true));
        assert_eq!(cwd(), Some("/second".into()));
        drop(second);
        assert_eq!(cwd(), Some("/first".into()), "what a closed window had is gone with it");
    }
}
