//! The C library of efio: the API of the original `ef_io.h`, and what efio has beyond it.
//!
//! ```text
//!  C program ─► api (one function per entry) ─► border: no panic out, errors are errno
//!                 │                               │
//!                 ├─ locks, queue, stream         ├─ gate ─► Library { Engine, Desk }
//!                 │                               └─ descriptors: int ─► Fd
//!  callback ◄─ caller thread ◄─┐
//!  ef_next_event ◄── news ◄────┴─ desk ◄─ events of the engine's driver
//! ```
//!
//! The header `include/efio.h` is made from `api` by cbindgen; `tests/header.rs` keeps the two in
//! step. The functions are documented in `docs/C-API.md` of the repository.
#![allow(clippy::missing_safety_doc)]

mod api;
mod callback;
mod cancel;
mod descriptors;
mod dispatch;
mod event;
mod ffi;
mod flags;
mod forked;
mod library;
mod options;
mod rundown;
mod segments;
mod signals;
