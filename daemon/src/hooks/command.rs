//! What is configured, under the names that the engine knows. It is read and checked in `workspace/files/hooks`.

pub(crate) use crate::workspace::files::hooks::{Action, Command, Stage};
