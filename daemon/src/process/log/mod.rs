//! A command's output on disk: masked bytes in segments, and an index of the reads that made them.

mod reader; // LogReader: pieces by offset

pub use reader::{LogChunk, LogReader, Read};
