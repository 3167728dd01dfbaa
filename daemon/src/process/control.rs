//! What crosses `ctl.sock` between a shim and whoever follows it: one JSON object a line.
