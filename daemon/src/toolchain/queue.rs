//! Which operation runs and which wait: one at a time, in the order in which they came. Pure; it starts nothing itself.

use std::collections::VecDeque;

/// An operation in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queued<K, C> {
    /// Its name.
    pub(crate) name: String,
    /// What it does, which is also its cause in the logs.
    pub(crate) kind: K,
    /// In whose name.
    pub(crate) caller: C,
}

/// The operations of one workspace.
#[derive(Debug)]
pub(crate) struct OpQueue<K, C> {
    running: Option<String>,
    waiting: VecDeque<Queued<K, C>>,
}

impl<K, C> Default for OpQueue<K, C> {
    fn default() -> Self {
        Self { running: None, waiting: VecDeque::new() }
    }
}

impl<K: PartialEq, C> OpQueue<K, C> {
    /// Puts an operation in; the name under which it will run. One of the same kind that still waits stands for both: it has
    /// not looked at anything yet. One that runs does not, since things may have changed behind it.
    pub(crate) fn push(&mut self, operation: Queued<K, C>) -> String {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.kind == operation.kind) {
            // The later caller's environment is the fresher one.
            waiting.caller = operation.caller;
            return waiting.name.clone();
        }
        let name = operation.name.clone();
        self.waiting.push_back(operation);
        name
    }

    /// The operation to start now, if none runs.
    pub(crate) fn start(&mut self) -> Option<Queued<K, C>> {
        if self.running.is_some() {
            return None;
        }
        let next = self.waiting.pop_front()?;
        self.running = Some(next.name.clone());
        Some(next)
    }

    /// The running operation ended; its name.
    pub(crate) fn ended(&mut self) -> Option<String> {
        self.running.take()
    }

    /// The running operation.
    pub(crate) fn running(&self) -> Option<&str> {
        self.running.as_deref()
    }

    /// Takes out an operation that waits; whether there was one.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting.name != name);
        self.waiting.len() < before
    }

    /// Whether the operation runs or waits.
    pub(crate) fn holds(&self, name: &str) -> bool {
        self.running.as_deref() == Some(name) || self.waiting.iter().any(|waiting| waiting.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(name: &str, kind: &'static str, caller: u8) -> Queued<&'static str, u8> {
        Queued { name: name.to_owned(), kind, caller }
    }

    #[test]
    fn one_runs_and_the_same_that_waits_stands_for_both() {
        let mut queue = OpQueue::default();
        assert_eq!(queue.push(operation("a", "repair", 1)), "a");
        assert_eq!(queue.start().map(|next| next.name).as_deref(), Some("a"));
        assert_eq!(queue.push(operation("b", "repair", 2)), "b", "one that runs may have looked too early");
        assert_eq!(queue.push(operation("c", "repair", 3)), "b", "one that waits stands for both");
        assert_eq!(queue.push(operation("d", "rollback", 4)), "d");
        assert_eq!(queue.start(), None, "one at a time");
        assert!(queue.holds("a") && queue.holds("b") && queue.holds("d") && !queue.holds("c"));
        queue.push(operation("e", "update", 5));
        assert!(queue.remove("e") && !queue.remove("e") && !queue.remove("a"), "one that runs does not wait");
        assert_eq!(queue.ended().as_deref(), Some("a"));
        let next = queue.start().unwrap();
        assert_eq!((next.name.as_str(), next.caller), ("b", 3), "with the later caller");
        queue.ended();
        assert_eq!(queue.start().unwrap().name, "d");
        queue.ended();
        assert_eq!((queue.start(), queue.running()), (None, None));
    }
}
