//! Streams over blocks: what a program builds around positional reads and writes. As many blocks as
//! the peer likes are under way at once; the caller takes from and puts into them without a copy.

use super::{CALL, Demand, Peer, Places, Reader, Writer};
use futures::future::{LocalBoxFuture, MaybeDone, maybe_done, poll_fn};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

/// How a peer moves a stream.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Bytes of a block.
    pub block: usize,
    /// Blocks of a file under way at once.
    pub depth: usize,
    /// A block goes out when it is full; if not, after each call.
    pub gathers: bool,
}

/// The memory for the blocks of all files, as much as efio's default budget.
const BUDGET: usize = 64 << 20;

impl Shape {
    /// As many and as large blocks as the budget and the files allow.
    fn within(self, demand: Demand) -> Self {
        let share = (BUDGET / demand.files).max(4096);
        let needed = (demand.len as usize)
            .next_multiple_of(4096)
            .next_power_of_two();
        let fits = 1 << share.ilog2();
        let block = self.block.min(fits).min(needed).max(4096);
        let depth = self.depth.min(share / block).min(needed.div_ceil(block));
        Self {
            block: if self.gathers {
                block
            } else {
                self.block.min(CALL)
            },
            depth: depth.max(1),
            ..self
        }
    }

    /// Bytes of all blocks: those under way, and one of each file that the caller has.
    fn memory(self, demand: Demand) -> usize {
        demand.files * (self.depth + 1) * self.block
    }
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Create,
}

/// A peer that moves blocks.
pub trait Disk: Sized + 'static {
    type File: 'static;
    type Buffer: AsRef<[u8]> + AsMut<[u8]> + 'static;
    /// How it likes to stream.
    const SHAPE: Shape;
    /// What offsets and lengths of blocks have to be a multiple of.
    const ALIGN: usize;

    /// Runs a body that uses blocks of so many bytes together.
    fn run<T>(memory: usize, body: impl AsyncFnOnce(Self) -> io::Result<T>) -> io::Result<T>;
    async fn open(&self, path: &Path, access: Access) -> io::Result<Self::File>;
    /// A buffer of `len` bytes.
    fn buffer(&self, len: usize) -> Self::Buffer;
    /// Reads into the whole buffer; fewer bytes at the end of file.
    async fn read_at(
        &self,
        file: &Self::File,
        buffer: Self::Buffer,
        offset: u64,
    ) -> io::Result<(Self::Buffer, usize)>;
    /// Writes the first `len` bytes, all of them.
    async fn write_at(
        &self,
        file: &Self::File,
        buffer: Self::Buffer,
        len: usize,
        offset: u64,
    ) -> io::Result<Self::Buffer>;
    /// Cuts a padded tail off.
    async fn truncate(&self, file: &Self::File, len: u64) -> io::Result<()>;
    async fn sync(&self, file: &Self::File) -> io::Result<()>;
    async fn close(&self, file: Self::File) -> io::Result<()>;
}

/// A peer made of a disk.
pub struct Blocks<D> {
    disk: Rc<D>,
    shape: Shape,
}

impl<D: Disk> Peer for Blocks<D> {
    type Reader = BlockReader<D>;
    type Writer = BlockWriter<D>;
    type Places = BlockPlaces<D>;

    fn run<T>(demand: Demand, body: impl AsyncFnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        let shape = D::SHAPE.within(demand);
        D::run(shape.memory(demand), async |disk| {
            let disk = Rc::new(disk);
            body(&Self { disk, shape }).await
        })
    }

    async fn reader(&self, path: &Path) -> io::Result<Self::Reader> {
        Ok(BlockReader {
            file: Rc::new(self.disk.open(path, Access::Read).await?),
            disk: Rc::clone(&self.disk),
            shape: self.shape,
            ahead: 0,
            over: false,
            coming: VecDeque::new(),
            spare: Vec::new(),
            current: None,
        })
    }

    async fn writer(&self, path: &Path) -> io::Result<Self::Writer> {
        Ok(BlockWriter {
            file: Rc::new(self.disk.open(path, Access::Create).await?),
            disk: Rc::clone(&self.disk),
            shape: self.shape,
            offset: 0,
            open: None,
            filled: 0,
            going: VecDeque::new(),
            spare: Vec::new(),
            scratch: Vec::new(),
        })
    }

    async fn places(&self, path: &Path) -> io::Result<Self::Places> {
        Ok(BlockPlaces {
            file: self.disk.open(path, Access::Read).await?,
            disk: Rc::clone(&self.disk),
            spare: Vec::new().into(),
        })
    }
}

type Flight<T> = Pin<Box<MaybeDone<LocalBoxFuture<'static, io::Result<T>>>>>;

/// Begins an operation: it is under way from its first poll on.
async fn begin<T: 'static>(operation: impl Future<Output = io::Result<T>> + 'static) -> Flight<T> {
    let mut flight = Box::pin(maybe_done(Box::pin(operation) as LocalBoxFuture<'_, _>));
    poll_fn(|cx| {
        let _ = flight.as_mut().poll(cx);
        Poll::Ready(())
    })
    .await;
    flight
}

async fn end<T>(mut flight: Flight<T>) -> io::Result<T> {
    flight.as_mut().await;
    flight.as_mut().take_output().expect("it has just ended")
}

/// Reads ahead, block by block.
pub struct BlockReader<D: Disk> {
    disk: Rc<D>,
    file: Rc<D::File>,
    shape: Shape,
    /// Where the next block begins that is not asked for yet.
    ahead: u64,
    over: bool,
    coming: VecDeque<Flight<(D::Buffer, usize)>>,
    spare: Vec<D::Buffer>,
    /// The block that the caller takes from: its length, and how much was taken.
    current: Option<(D::Buffer, usize, usize)>,
}

impl<D: Disk> BlockReader<D> {
    async fn ask(&mut self) {
        while !self.over && self.coming.len() < self.shape.depth {
            let buffer = self.spare.pop();
            let buffer = buffer.unwrap_or_else(|| self.disk.buffer(self.shape.block));
            let (disk, file, offset) = (Rc::clone(&self.disk), Rc::clone(&self.file), self.ahead);
            self.ahead += self.shape.block as u64;
            let read = begin(async move { disk.read_at(&file, buffer, offset).await }).await;
            self.coming.push_back(read);
        }
    }
}

impl<D: Disk> Reader for BlockReader<D> {
    async fn next(&mut self) -> io::Result<&[u8]> {
        if let Some((_, len, taken)) = &self.current
            && taken == len
        {
            self.over |= *len < self.shape.block;
            self.spare
                .extend(self.current.take().map(|(buffer, ..)| buffer));
        }
        if self.current.is_none() {
            self.ask().await;
            let Some(flight) = self.coming.pop_front() else {
                return Ok(&[]);
            };
            let (buffer, len) = end(flight).await?;
            if len == 0 {
                self.over = true;
                self.spare.push(buffer);
                return Ok(&[]);
            }
            self.current = Some((buffer, len, 0));
        }
        let (buffer, len, taken) = self.current.as_mut().expect("a block");
        let from = *taken;
        *taken = (from + CALL).min(*len);
        Ok(&(*buffer).as_ref()[from..*taken])
    }

    async fn close(mut self) -> io::Result<()> {
        while let Some(flight) = self.coming.pop_front() {
            end(flight).await?;
        }
        let file = Rc::try_unwrap(self.file).map_err(|_| io::Error::other("still in use"))?;
        self.disk.close(file).await
    }
}

/// Gathers blocks and writes behind.
pub struct BlockWriter<D: Disk> {
    disk: Rc<D>,
    file: Rc<D::File>,
    shape: Shape,
    /// Where the open block goes.
    offset: u64,
    open: Option<D::Buffer>,
    filled: usize,
    going: VecDeque<Flight<D::Buffer>>,
    spare: Vec<D::Buffer>,
    scratch: Vec<u8>,
}

impl<D: Disk> BlockWriter<D> {
    async fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.open.is_none() {
            if self.going.len() >= self.shape.depth {
                let flight = self.going.pop_front().expect("some are going");
                self.spare.push(end(flight).await?);
            }
            let buffer = self.spare.pop();
            self.open = Some(buffer.unwrap_or_else(|| self.disk.buffer(self.shape.block)));
        }
        let open = self.open.as_mut().expect("an open block");
        Ok(&mut open.as_mut()[self.filled..])
    }

    /// Copies a line into the open block, if it does not fill it.
    fn takes(&mut self, line: &[u8]) -> bool {
        let end = self.filled + line.len();
        let gathers = self.shape.gathers && end < self.shape.block;
        let Some(open) = self.open.as_mut().filter(|_| gathers) else {
            return false;
        };
        open.as_mut()[self.filled..end].copy_from_slice(line);
        self.filled = end;
        true
    }

    async fn filled(&mut self, len: usize) {
        self.filled += len;
        if self.filled == self.shape.block || !self.shape.gathers {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        let Some(mut buffer) = self.open.take().filter(|_| self.filled > 0) else {
            return;
        };
        let (disk, file, offset) = (Rc::clone(&self.disk), Rc::clone(&self.file), self.offset);
        let filled = std::mem::take(&mut self.filled);
        let padded = filled.next_multiple_of(D::ALIGN);
        buffer.as_mut()[filled..padded].fill(0);
        self.offset += filled as u64;
        let write = begin(async move { disk.write_at(&file, buffer, padded, offset).await });
        self.going.push_back(write.await);
    }
}

impl<D: Disk> Writer for BlockWriter<D> {
    async fn put(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let room = self.room().await?;
        if room.len() >= len {
            fill(&mut room[..len]);
            self.filled(len).await;
            return Ok(());
        }
        // Over the border of two blocks.
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(len, 0);
        fill(&mut scratch);
        let mut rest = &scratch[..];
        while !rest.is_empty() {
            let room = self.room().await?;
            let part = rest.len().min(room.len());
            room[..part].copy_from_slice(&rest[..part]);
            rest = &rest[part..];
            self.filled(part).await;
        }
        self.scratch = scratch;
        Ok(())
    }

    async fn put_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.takes(line) {
            return Ok(());
        }
        self.put(line.len(), |to| to.copy_from_slice(line)).await
    }

    async fn finish(mut self, durable: bool) -> io::Result<()> {
        self.flush().await;
        while let Some(flight) = self.going.pop_front() {
            end(flight).await?;
        }
        if self.offset % D::ALIGN as u64 != 0 {
            self.disk.truncate(&self.file, self.offset).await?;
        }
        if durable {
            self.disk.sync(&self.file).await?;
        }
        let file = Rc::try_unwrap(self.file).map_err(|_| io::Error::other("still in use"))?;
        self.disk.close(file).await
    }
}

/// Reads at places, each into a buffer of its own.
pub struct BlockPlaces<D: Disk> {
    disk: Rc<D>,
    file: D::File,
    spare: std::cell::RefCell<Vec<D::Buffer>>,
}

impl<D: Disk> Places for BlockPlaces<D> {
    async fn read_at(&self, offset: u64, len: usize, look: impl FnOnce(&[u8])) -> io::Result<()> {
        let spare = self.spare.borrow_mut().pop();
        let buffer = spare.unwrap_or_else(|| self.disk.buffer(len));
        let (buffer, len) = self.disk.read_at(&self.file, buffer, offset).await?;
        look(&buffer.as_ref()[..len]);
        self.spare.borrow_mut().push(buffer);
        Ok(())
    }
}
