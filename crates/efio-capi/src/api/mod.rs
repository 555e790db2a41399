//! What C sees, one function after the other. The comments go into the header, which promises in
//! the name of C what each `unsafe` here rests on: a pointer is null or valid for what the function
//! does with it, an object was created and is not destroyed yet, and a lock is held by who opens it.
// In the order of the header.

mod engine;

mod lifetime;

mod file;

mod at;

mod events;

mod queue;

mod locks;

mod stream;
