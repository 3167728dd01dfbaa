//! The socket: who may speak, in which frames, and which method leads where.
//!
//! The only module that knows LSP. State: one session a connection.
//!
//! Invariants: a peer is known by its uid before a byte of it is read; the guard refuses a frame that is too long before
//! anything is allocated for it; a handler only enqueues (its first await is the send into a mailbox) and never awaits
//! the client; what a connection started goes on without it.
//!
//! Not here: any decision of the product.

mod convert; // errors of every module -> JSON-RPC errors
mod forward; // events of the model -> notifications of one connection
mod guard; // limits before tower-lsp, which has none of its own
mod hangup; // knowing at once that a client is gone
mod listener; // the socket and who may speak
mod methods; // one file a method
mod session; // one connection

pub use convert::{Failure, Result};
pub use listener::{ListenError, Listener};
pub use session::Session;
