//! One open folder.

pub mod files;
