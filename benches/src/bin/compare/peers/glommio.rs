//! glommio's `DmaFile`: direct IO, into its own buffers.

use super::blocks::{Access, Disk, Shape};
use glommio::io::{DmaBuffer, DmaFile, ReadResult};
use glommio::{LocalExecutorBuilder, Placement, allocate_dma_buffer};
use std::io;
use std::path::Path;

pub struct Glommio;

/// What was read lies in memory of glommio's choice; memory to write from is allocated when it is
/// filled.
pub enum Buffer {
    None(usize),
    Ours(DmaBuffer),
    Read(ReadResult, usize),
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::None(_) => &[],
            Self::Ours(buffer) => buffer.as_bytes(),
            Self::Read(result, _) => result,
        }
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        if !matches!(self, Self::Ours(_)) {
            *self = Self::Ours(allocate_dma_buffer(self.len()));
        }
        match self {
            Self::Ours(buffer) => buffer.as_bytes_mut(),
            _ => unreachable!("it is ours now"),
        }
    }
}

impl Buffer {
    fn len(&self) -> usize {
        match self {
            Self::Ours(buffer) => buffer.len(),
            Self::None(asked) | Self::Read(_, asked) => *asked,
        }
    }
}

impl Disk for Glommio {
    type File = DmaFile;
    type Buffer = Buffer;
    const SHAPE: Shape = Shape {
        block: 1 << 20,
        depth: 4,
        gathers: true,
    };
    const ALIGN: usize = 4096;

    fn run<T>(memory: usize, body: impl AsyncFnOnce(Self) -> io::Result<T>) -> io::Result<T> {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(memory.next_power_of_two().max(10 << 20))
            .make()?;
        executor.run(body(Self))
    }

    async fn open(&self, path: &Path, access: Access) -> io::Result<DmaFile> {
        Ok(match access {
            Access::Read => DmaFile::open(path).await?,
            Access::Create => DmaFile::create(path).await?,
        })
    }

    fn buffer(&self, len: usize) -> Buffer {
        Buffer::None(len)
    }

    async fn read_at(
        &self,
        file: &DmaFile,
        buffer: Buffer,
        offset: u64,
    ) -> io::Result<(Buffer, usize)> {
        let asked = buffer.len();
        // It reads into memory of its own choice: that of the last block is free again.
        drop(buffer);
        let result = file.read_at_aligned(offset, asked).await?;
        let len = result.len();
        Ok((Buffer::Read(result, asked), len))
    }

    async fn write_at(
        &self,
        file: &DmaFile,
        buffer: Buffer,
        len: usize,
        offset: u64,
    ) -> io::Result<Buffer> {
        let Buffer::Ours(mut block) = buffer else {
            unreachable!("it was filled");
        };
        let full = block.len();
        block.trim_to_size(len);
        if file.write_at(block, offset).await? != len {
            return Err(io::Error::other("a short write"));
        }
        Ok(self.buffer(full))
    }

    async fn truncate(&self, file: &DmaFile, len: u64) -> io::Result<()> {
        Ok(file.truncate(len).await?)
    }

    async fn sync(&self, file: &DmaFile) -> io::Result<()> {
        Ok(file.fdatasync().await?)
    }

    async fn close(&self, file: DmaFile) -> io::Result<()> {
        Ok(file.close().await?)
    }
}
