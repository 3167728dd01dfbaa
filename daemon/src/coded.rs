//! Errors that a person may see: each has a code of the registry and, where there is one, a next step.

use burrow_protocol::error::{ErrorCode, ErrorData};
use burrow_protocol::model::Reason;

/// An error with its code of the registry.
pub trait Coded: std::error::Error {
    /// The code under which it is told.
    fn code(&self) -> ErrorCode;

    /// What to do next, in one sentence; apart from the message so that an editor can make a button of it.
    fn hint(&self) -> Option<String> {
        None
    }

    /// The error as it crosses the socket: its message with its causes, each once.
    fn to_data(&self) -> ErrorData
    where
        Self: Sized,
    {
        ErrorData::new(self.code(), with_causes(self), self.hint())
    }

    /// The error as the status shows it: a reason for attention.
    fn to_reason(&self) -> Reason
    where
        Self: Sized,
    {
        let ErrorData { code, message, hint, .. } = self.to_data();
        Reason { code: Some(code), message, hint }
    }
}

/// The message of `error`, then each cause after a colon.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}
