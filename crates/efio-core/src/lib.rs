//! Asynchronous file IO for event loops: a read that memory can satisfy returns at once, else
//! "would block" and an event follows; a write is a memcpy, and goes to disk in the background with
//! its errors kept.
//!
//! ```text
//!  caller thread(s)                        driver thread                       kernel
//!  write ─memcpy─► open page ┐
//!         (chunk stream)     ├─► requests        ─► Driver ─ plans ─ ops ─► Backend
//!  read ◄─memcpy── pages ◄───┘      (MPMC)             │                      │
//!         (chunk stream)                               ◄───── completions ────┘
//!  events ◄── eventfd ◄── event queue (MPMC) ◄──────── ┘
//! ```
//!
//! Begin with [`Engine`]. A file is opened with [`OpenOptions`] and used through a [`File`] or its
//! number, an [`Fd`]; what became ready is in the [`EventQueue`], whose descriptor any event
//! loop can poll. [`Progress`] shows how far the bytes of a file have come: accepted, written,
//! durable.
//!
//! The crates below are re-exported: [`sync`], [`queue`], [`chunks`], [`bstream`].

// What only tasks, the simulation and the models use is looked at where these are built.
#![cfg_attr(not(feature = "__sim"), allow(dead_code))]

#[cfg(any(feature = "futures-io", feature = "tokio"))]
mod aio;
mod backend;
mod blocking;
mod caller;
mod catch_panic;
mod command;
mod config;
mod current;
mod driver;
mod engine;
mod error;
mod event;
mod fd;
mod file;
mod file_ref;
mod inbox;
mod io_mode;
pub mod log;
mod memory;
mod mode_status;
mod oneshot;
mod op;
mod options;
mod page;
mod plan;
mod shared;
mod shutdown_report;
mod signalled;
mod slot_map;
mod stats;
mod sys;
mod tasks;
mod trace;
pub mod transfer;
mod workdir;

/// The protocols between caller and driver, for the loom models. Not part of the stable API.
#[cfg(feature = "__sim")]
#[doc(hidden)]
pub mod model;
/// An engine over a simulated disk, for tests. Not part of the stable API.
#[cfg(feature = "__sim")]
#[doc(hidden)]
pub mod sim;
#[cfg(feature = "__sim")]
#[doc(hidden)]
pub use sim::SimOptions;

#[cfg(any(feature = "futures-io", feature = "tokio"))]
pub use aio::AsyncFile;
pub use backend::BackendInfo;
pub use blocking::Blocking;
pub use caller::SubmitError;
pub use config::BackendKind;
pub use engine::{Builder, Engine};
pub use error::{Errno, Failure};
pub use event::{Completed, Event, EventKind, EventQueue, Readiness};
pub use fd::{Fd, Progress, Unwritten};
pub use file::File;
pub use file_ref::FileRef;
pub use io_mode::IoMode;
pub use mode_status::ModeReason;
pub use options::OpenOptions;
pub use page::Buffer;
pub use shutdown_report::ShutdownReport;
pub use stats::{BytesByMode, DriverStats, FileStats, NameState, Stats};
pub use transfer::copy;

pub use efio_bstream as bstream;
pub use efio_chunks as chunks;
pub use efio_queue as queue;
pub use efio_sync as sync;

static_assertions::assert_impl_all!(Engine: Send, Sync);
static_assertions::assert_impl_all!(File: Send, Sync, Unpin);
static_assertions::assert_impl_all!(EventQueue: Send, Sync);

#[doc = include_str!("../README.md")]
#[cfg(doctest)]
struct ReadmeExamples;
