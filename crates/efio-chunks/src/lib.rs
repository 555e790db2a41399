//! A lock-free single-producer single-consumer stream of byte chunks, zero-copy at both ends.
