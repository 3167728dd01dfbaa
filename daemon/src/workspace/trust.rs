//! Whether work that nobody asked for may be done in a workspace. Pure, but for the lock around it.
//!
//! It takes a window that trusts the folder, or a call of the command line by somebody who sits in front of it. One window
//! that does not trust the folder stops it: there it is open in an editor that may not run anything of it.

use std::sync::{Arc, Mutex, PoisonError};

/// Who has the workspace open, and who vouched for it since the daemon started. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    trusted_windows: u32,
    untrusted_windows: u32,
    called_from_a_terminal: bool,
}

/// A window that has the workspace open until this is dropped.
#[derive(Debug)]
pub struct OpenWindow {
    trust: Trust,
    trusted: bool,
}

impl Trust {
    /// A window opened the workspace.
    #[must_use]
    pub fn window(&self, trusted: bool) -> OpenWindow {
        self.change(|state| *state.windows(trusted) += 1);
        OpenWindow { trust: self.clone(), trusted }
    }

    /// Somebody in front of a terminal called the command line here.
    pub fn called_from_a_terminal(&self) {
        self.change(|state| state.called_from_a_terminal = true);
    }

    /// Whether work that nobody asked for may be done now.
    #[must_use]
    pub fn allows_background_work(&self) -> bool {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.untrusted_windows == 0 && (state.trusted_windows > 0 || state.called_from_a_terminal)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl State {
    fn windows(&mut self, trusted: bool) -> &mut u32 {
        if trusted { &mut self.trusted_windows } else { &mut self.untrusted_windows }
    }
}

impl Drop for OpenWindow {
    fn drop(&mut self) {
        self.trust.change(|state| {
            let windows = state.windows(self.trusted);
            *windows = windows.saturating_sub(1);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Trust;

    #[test]
    fn one_window_that_does_not_trust_stops_it() {
        let trust = Trust::default();
        assert!(!trust.allows_background_work(), "nobody vouched for the folder");
        let trusted = trust.window(true);
        assert!(trust.allows_background_work());
        let untrusted = trust.window(false);
        assert!(!trust.allows_background_work(), "whatever others say");
        trust.called_from_a_terminal();
        assert!(!trust.allows_background_work(), "a terminal does not outweigh it");
        drop(untrusted);
        drop(trusted);
        assert!(trust.allows_background_work(), "the call from a terminal still counts");
    }
}
