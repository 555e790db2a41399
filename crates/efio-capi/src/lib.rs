//! The C library of efio: the API of the original `ef_io.h`, and what efio has beyond it.
//!
//! ```text
//!  C program ─► api (one function per entry) ─► ffi: no panic out, errors are errno
//!                 │                               │
//!                 ├─ locks, queue, stream         ├─ rundown ─► Library { Engine, Dispatch }
//!                 │                               └─ numbers: int ◄─► Fd
//!  callback ◄─ caller thread ◄───────┐
//!  ef_next_event ◄─ EventQueue ◄─────┼─ dispatch ◄─ events of the engine's driver
//!  ef_close_status ◄─ closes ◄───────┘
//! ```
//!
//! cbindgen makes the header `include/efio.h` from `api`; `tests/header.rs` keeps the two in step.
//! `docs/C-API.md` of the repository documents the functions.
#![allow(clippy::missing_safety_doc)]

mod api;
mod callback;
mod cancel;
mod closes;
mod dispatch;
mod event;
mod ffi;
mod flags;
mod forked;
mod library;
mod numbers;
mod options;
mod rundown;
mod signals;
