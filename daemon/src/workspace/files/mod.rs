//! workspace/files.
