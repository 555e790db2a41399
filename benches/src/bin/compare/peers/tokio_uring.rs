//! tokio-uring: one operation of a stream at a time, into a `Vec`.

use super::blocks::{Access, Disk, Shape};
use std::io;
use std::path::Path;
use tokio_uring::buf::BoundedBuf;
use tokio_uring::fs::File;

pub struct TokioUring;

impl Disk for TokioUring {
    type File = File;
    type Buffer = Vec<u8>;
    const SHAPE: Shape = Shape {
        block: 64 << 10,
        depth: 1,
        gathers: true,
    };
    const ALIGN: usize = 1;

    fn run<T>(_: usize, body: impl AsyncFnOnce(Self) -> io::Result<T>) -> io::Result<T> {
        tokio_uring::start(body(Self))
    }

    async fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        match access {
            Access::Read => File::open(path).await,
            Access::Create => File::create(path).await,
        }
    }

    fn buffer(&self, len: usize) -> Vec<u8> {
        vec![0; len]
    }

    async fn read_at(
        &self,
        file: &File,
        buffer: Vec<u8>,
        offset: u64,
    ) -> io::Result<(Vec<u8>, usize)> {
        let (read, buffer) = file.read_at(buffer, offset).await;
        Ok((buffer, read?))
    }

    async fn write_at(
        &self,
        file: &File,
        buffer: Vec<u8>,
        len: usize,
        offset: u64,
    ) -> io::Result<Vec<u8>> {
        let (wrote, slice) = file.write_all_at(buffer.slice(..len), offset).await;
        wrote.map(|()| slice.into_inner())
    }

    async fn truncate(&self, _: &File, _: u64) -> io::Result<()> {
        unreachable!("nothing is padded")
    }

    async fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data().await
    }

    async fn close(&self, file: File) -> io::Result<()> {
        file.close().await
    }
}
