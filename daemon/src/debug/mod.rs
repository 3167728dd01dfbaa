//! Debug.

pub mod ports;
pub mod tcp_table;
