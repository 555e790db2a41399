//! compio: one operation of a stream at a time, into a `Vec`.

use super::blocks::{Access, Disk, Shape};
use compio::buf::{BufResult, IntoInner, IoBuf};
use compio::fs::File;
use compio::io::{AsyncReadAt, AsyncWriteAtExt};
use std::io;
use std::path::Path;

pub struct Compio;

impl Disk for Compio {
    type File = File;
    type Buffer = Vec<u8>;
    const SHAPE: Shape = Shape {
        block: 64 << 10,
        depth: 1,
        gathers: true,
    };
    const ALIGN: usize = 1;

    fn run<T>(_: usize, body: impl AsyncFnOnce(Self) -> io::Result<T>) -> io::Result<T> {
        compio::runtime::Runtime::new()?.block_on(body(Self))
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
        let BufResult(read, buffer) = file.read_at(buffer, offset).await;
        Ok((buffer, read?))
    }

    async fn write_at(
        &self,
        file: &File,
        buffer: Vec<u8>,
        len: usize,
        offset: u64,
    ) -> io::Result<Vec<u8>> {
        let mut file = file;
        let BufResult(wrote, slice) = file.write_all_at(buffer.slice(..len), offset).await;
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
