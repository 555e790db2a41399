//! Michael-Scott multi-producer multi-consumer queues, no_std + alloc and checked with loom.
