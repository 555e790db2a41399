//! What must not compile: a second producer or consumer, an end shared by two threads, chunks that
//! must not leave their thread.

use std::rc::Rc;

use efio_chunks::{
    AlignedBuf, AppendChunk, Buffer, ByteWriter, Chunk, ChunkReader, ChunkRef, ChunkRefs,
    ChunkWriter, Options, Popped,
};
use static_assertions::{assert_impl_all, assert_not_impl_any};

type Writer = ChunkWriter<Vec<u8>>;
type Reader = ChunkReader<Vec<u8>>;

assert_impl_all!(Writer: Send);
assert_impl_all!(Reader: Send);
assert_impl_all!(ByteWriter: Send);
assert_impl_all!(Popped<Vec<u8>>: Send, Sync);
assert_impl_all!(Options: Send, Sync);
assert_impl_all!(AlignedBuf: Send, Sync);
assert_impl_all!(Buffer: Send, Sync);

assert_not_impl_any!(Writer: Sync, Clone);
assert_not_impl_any!(Reader: Sync, Clone);
assert_not_impl_any!(ByteWriter: Sync, Clone);
// They refer to the reader, which stays where it is.
assert_not_impl_any!(ChunkRef<'static, Vec<u8>>: Send, Sync);
assert_not_impl_any!(ChunkRefs<'static, Vec<u8>>: Send, Sync);

// What `as_ptr` of a shared `Vec` gives must not be written through.
assert_impl_all!(Vec<u8>: Chunk);
assert_not_impl_any!(Vec<u8>: AppendChunk);
assert_not_impl_any!(Box<[u8]>: AppendChunk);
assert_not_impl_any!(Rc<[u8]>: Chunk);

#[test]
fn it_compiles() {}
