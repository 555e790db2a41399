//! monoio, tokio-uring and compio: runtimes whose files take a `Vec` and give it back. They differ
//! in their names and in how they are started.

use super::blocks::{Access, Disk, Shape};
use std::io;
use std::path::Path;

/// What a call gives: how it went, and the buffer.
type Given<T> = (io::Result<T>, Vec<u8>);

macro_rules! runtime {
    ($name:ident, $file:ty, |$body:ident| $run:expr, $($traits:item)*) => {
        pub struct $name;

        const _: () = {
            $($traits)*

            impl Disk for $name {
                type File = $file;
                type Buffer = Vec<u8>;
                const SHAPE: Shape = Shape {
                    block: 64 << 10,
                    depth: 1,
                    gathers: true,
                };
                // One write of 64 KiB at a time is half as fast; more or larger reads gain
                // nothing, and lose with many files.
                const WRITES: Shape = Shape {
                    block: 256 << 10,
                    depth: 2,
                    gathers: true,
                };
                const ALIGN: usize = 1;

                fn run<T>(
                    _: usize,
                    body: impl AsyncFnOnce(Self) -> io::Result<T>,
                ) -> io::Result<T> {
                    let $body = body(Self);
                    $run
                }

                async fn open(&self, path: &Path, access: Access) -> io::Result<$file> {
                    match access {
                        Access::Read => <$file>::open(path).await,
                        Access::Create => <$file>::create(path).await,
                    }
                }

                fn buffer(&self, len: usize) -> Vec<u8> {
                    vec![0; len]
                }

                async fn read_at(
                    &self,
                    file: &$file,
                    buffer: Vec<u8>,
                    offset: u64,
                ) -> io::Result<(Vec<u8>, usize)> {
                    let len = buffer.len();
                    let given = file.read_at(buffer, offset).await;
                    let (read, mut buffer): Given<usize> = given.into();
                    // Some cut it to what was read.
                    buffer.resize(len, 0);
                    Ok((buffer, read?))
                }

                async fn write_at(
                    &self,
                    mut file: &$file,
                    buffer: Vec<u8>,
                    len: usize,
                    offset: u64,
                ) -> io::Result<Vec<u8>> {
                    let file = &mut file;
                    let wrote = file.write_all_at(buffer.slice(..len), offset).await;
                    let (wrote, slice): (io::Result<()>, _) = wrote.into();
                    wrote.map(|()| slice.into_inner())
                }

                async fn truncate(&self, _: &$file, _: u64) -> io::Result<()> {
                    unreachable!("nothing is padded")
                }

                async fn sync(&self, file: &$file) -> io::Result<()> {
                    file.sync_data().await
                }

                async fn close(&self, file: $file) -> io::Result<()> {
                    file.close().await
                }
            }
        };
    };
}

runtime! {
    Monoio, monoio::fs::File,
    |body| monoio::RuntimeBuilder::<monoio::IoUringDriver>::new().build()?.block_on(body),
    use monoio::buf::IoBuf;
}

runtime! {
    TokioUring, tokio_uring::fs::File,
    |body| tokio_uring::start(body),
    use tokio_uring::buf::BoundedBuf;
}

runtime! {
    Compio, compio::fs::File,
    |body| compio::runtime::Runtime::new()?.block_on(body),
    use compio::buf::{IntoInner, IoBuf};
    use compio::io::{AsyncReadAt, AsyncWriteAtExt};
}
