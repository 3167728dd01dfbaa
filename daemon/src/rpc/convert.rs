//! Errors of every module, as JSON-RPC errors: the one place where they are mapped.

use burrow_protocol::error::{ErrorCode, ErrorData};
use tower_lsp::jsonrpc;

use crate::coded::Coded;

/// A request that failed, with its code of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(ErrorData);

/// What a handler answers.
pub type Result<T> = std::result::Result<T, Failure>;

/// JSON-RPC codes below this are free for an application (its specification, "Error object"). Ours are 1 to 999 below it.
const FIRST_CODE: i64 = -33_000;

impl Failure {
    /// A failure that has no error type of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>, hint: Option<String>) -> Self {
        Self(ErrorData::new(code, message, hint))
    }
}

impl<E: Coded> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_data())
    }
}

impl From<Failure> for jsonrpc::Error {
    fn from(failure: Failure) -> Self {
        let number = ErrorCode::from_code(&failure.0.code).map_or(0, ErrorCode::number);
        Self {
            code: jsonrpc::ErrorCode::ServerError(FIRST_CODE - number),
            message: failure.0.message.clone().into(),
            data: serde_json::to_value(failure.0).ok(),
        }
    }
}
