//! The functions of C, in the order of the header. cbindgen copies their comments into it.
//!
//! The header has C promise what each `unsafe` here rests on:
//!
//! 1. A pointer is null, or valid for what the function does with it.
//! 2. An object was created and is not destroyed yet.
//! 3. A thread that releases a lock holds it.

mod engine;

mod lifetime;

mod file;

mod at;

mod events;

mod queue;

mod locks;

mod stream;
