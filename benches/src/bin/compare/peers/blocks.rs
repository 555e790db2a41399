//! Streams over blocks: what a program builds around positional reads and writes. As many blocks as
//! the peer likes are in flight at once; the caller takes from and puts into them without a copy.

use super::pool::Pool;
use crate::peer::{CALL, Demand, Peer, Places, Reader, Work, Writer};
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
    /// Blocks of a file in flight at once.
    pub depth: usize,
    /// A block goes out when it is full; if not, after each call.
    pub gathers: bool,
}

/// The memory for the blocks of all files, as much as efio's default budget.
const BUDGET: usize = 64 << 20;
const PAGE: usize = 4096;

impl Shape {
    /// What a budget allows for such files: the shape, and how many blocks there are for all of
    /// them. Files whose bytes come in turn have each a block of their own; else a file takes
    /// blocks when it goes on, and waits while the others have all of them.
    fn within(self, demand: Demand, budget: usize) -> (Self, usize) {
        let needed = (demand.len as usize)
            .next_multiple_of(PAGE)
            .next_power_of_two();
        let share = (budget / demand.files).max(2 * PAGE);
        let most = match demand.work {
            _ if !self.gathers => CALL,
            Work::Lines if needed > share => 1 << (share / 2).ilog2(),
            Work::Lines | Work::InTurn => 1 << share.ilog2(),
            Work::Reads | Work::Writes | Work::Both => budget,
        };
        let block = self.block.min(needed).min(most);
        let depth = self.depth.min(needed.div_ceil(block));
        let (depth, blocks) = match demand.work {
            // One task has all of them: it must never wait for a block that another log has.
            Work::Lines if block >= needed => (1, demand.files),
            Work::Lines => {
                let depth = depth.min(share / block - 1).max(1);
                (depth, demand.files * (depth + 1))
            }
            _ => (depth, (demand.files * (depth + 1)).min(budget / block)),
        };
        (
            Self {
                block,
                depth,
                ..self
            },
            blocks,
        )
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
    /// How it likes to write, if otherwise.
    const WRITES: Shape = Self::SHAPE;
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
pub struct Blocks<D: Disk> {
    store: Rc<Store<D>>,
    reads: Shape,
    writes: Shape,
}

/// The disk and the blocks of all its files.
struct Store<D: Disk> {
    disk: D,
    reading: Pool<D::Buffer>,
    writing: Pool<D::Buffer>,
}

impl<D: Disk> Peer for Blocks<D> {
    type Reader = BlockReader<D>;
    type Writer = BlockWriter<D>;
    type Places = BlockPlaces<D>;

    fn run<T>(demand: Demand, body: impl AsyncFnOnce(&Self) -> io::Result<T>) -> io::Result<T> {
        let budget = match demand.work {
            Work::Both => BUDGET / 2,
            _ => BUDGET,
        };
        let writes = match demand.work {
            Work::Lines => D::SHAPE,
            _ => D::WRITES,
        };
        let (reads, to_read) = D::SHAPE.within(demand, budget);
        let (writes, to_write) = writes.within(demand, budget);
        let (to_read, to_write) = match demand.work {
            Work::Reads => (to_read, 0),
            Work::Both => (to_read, to_write),
            Work::Writes | Work::InTurn | Work::Lines => (0, to_write),
        };
        let memory = to_read * reads.block + to_write * writes.block;
        D::run(memory, async |disk| {
            let store = Rc::new(Store {
                disk,
                reading: Pool::new(to_read),
                writing: Pool::new(to_write),
            });
            let peer = Self {
                store,
                reads,
                writes,
            };
            body(&peer).await
        })
    }

    async fn reader(&self, path: &Path) -> io::Result<Self::Reader> {
        Ok(BlockReader {
            file: Rc::new(self.store.disk.open(path, Access::Read).await?),
            store: Rc::clone(&self.store),
            shape: self.reads,
            ahead: 0,
            over: false,
            coming: VecDeque::new(),
            current: None,
        })
    }

    async fn writer(&self, path: &Path) -> io::Result<Self::Writer> {
        Ok(BlockWriter {
            file: Rc::new(self.store.disk.open(path, Access::Create).await?),
            store: Rc::clone(&self.store),
            shape: self.writes,
            offset: 0,
            open: None,
            filled: 0,
            going: VecDeque::new(),
            scratch: Vec::new(),
        })
    }

    async fn places(&self, path: &Path) -> io::Result<Self::Places> {
        Ok(BlockPlaces {
            file: self.store.disk.open(path, Access::Read).await?,
            store: Rc::clone(&self.store),
            spare: Vec::new().into(),
        })
    }
}

type Flight<T> = Pin<Box<MaybeDone<LocalBoxFuture<'static, io::Result<T>>>>>;

/// Begins an operation: it is in flight from its first poll on.
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
    store: Rc<Store<D>>,
    file: Rc<D::File>,
    shape: Shape,
    /// Where the next block begins that is not asked for yet.
    ahead: u64,
    over: bool,
    coming: VecDeque<Flight<(D::Buffer, usize)>>,
    /// The block that the caller takes from: its length, and how much was taken.
    current: Option<(D::Buffer, usize, usize)>,
}

impl<D: Disk> BlockReader<D> {
    async fn ask(&mut self) {
        while !self.over && self.coming.len() < self.shape.depth {
            let make = || self.store.disk.buffer(self.shape.block);
            let buffer = match self.coming.is_empty() {
                true => self.store.reading.take(make).await,
                false => match self.store.reading.try_take(make) {
                    Some(buffer) => buffer,
                    None => return,
                },
            };
            let (store, file, offset) = (Rc::clone(&self.store), Rc::clone(&self.file), self.ahead);
            self.ahead += self.shape.block as u64;
            let read = async move { store.disk.read_at(&file, buffer, offset).await };
            self.coming.push_back(begin(read).await);
        }
    }
}

impl<D: Disk> Reader for BlockReader<D> {
    async fn next(&mut self) -> io::Result<&[u8]> {
        self.spent();
        if self.current.is_none() {
            self.ask().await;
            let Some(flight) = self.coming.pop_front() else {
                return Ok(&[]);
            };
            let (buffer, len) = end(flight).await?;
            if len == 0 {
                self.over = true;
                self.store.reading.give(buffer);
                return Ok(&[]);
            }
            self.current = Some((buffer, len, 0));
        }
        let (buffer, len, taken) = self.current.as_mut().expect("a block");
        let from = *taken;
        *taken = (from + CALL).min(*len);
        Ok(&(*buffer).as_ref()[from..*taken])
    }

    fn spent(&mut self) {
        if let Some((buffer, len, _)) = self.current.take_if(|(_, len, taken)| taken == len) {
            self.over |= len < self.shape.block;
            self.store.reading.give(buffer);
        }
    }

    async fn close(mut self) -> io::Result<()> {
        self.spent();
        while let Some(flight) = self.coming.pop_front() {
            self.store.reading.give(end(flight).await?.0);
        }
        let file = Rc::try_unwrap(self.file).map_err(|_| io::Error::other("still in use"))?;
        self.store.disk.close(file).await
    }
}

/// Gathers blocks and writes them in the background.
pub struct BlockWriter<D: Disk> {
    store: Rc<Store<D>>,
    file: Rc<D::File>,
    shape: Shape,
    /// Where the open block goes.
    offset: u64,
    open: Option<D::Buffer>,
    filled: usize,
    going: VecDeque<Flight<D::Buffer>>,
    scratch: Vec<u8>,
}

impl<D: Disk> BlockWriter<D> {
    async fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.open.is_none() {
            if self.going.len() >= self.shape.depth {
                self.end_first().await?;
            }
            self.open = Some(self.block().await?);
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

    /// A block; while there is none, what goes out has to end.
    async fn block(&mut self) -> io::Result<D::Buffer> {
        loop {
            let make = || self.store.disk.buffer(self.shape.block);
            if let Some(buffer) = self.store.writing.try_take(make) {
                return Ok(buffer);
            }
            if self.going.is_empty() {
                return Ok(self.store.writing.take(make).await);
            }
            self.end_first().await?;
        }
    }

    async fn end_first(&mut self) -> io::Result<()> {
        if let Some(flight) = self.going.pop_front() {
            self.store.writing.give(end(flight).await?);
        }
        Ok(())
    }

    async fn filled(&mut self, len: usize) {
        self.filled += len;
        if self.filled == self.shape.block || !self.shape.gathers {
            self.flush().await;
        }
    }

    /// Waits until the kernel has all of it.
    async fn written(&mut self) -> io::Result<()> {
        self.flush().await;
        while !self.going.is_empty() {
            self.end_first().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) {
        let Some(mut buffer) = self.open.take_if(|_| self.filled > 0) else {
            return;
        };
        let (store, file, offset) = (Rc::clone(&self.store), Rc::clone(&self.file), self.offset);
        let filled = std::mem::take(&mut self.filled);
        let padded = filled.next_multiple_of(D::ALIGN);
        buffer.as_mut()[filled..padded].fill(0);
        self.offset += filled as u64;
        let write = async move { store.disk.write_at(&file, buffer, padded, offset).await };
        let mut write = begin(write).await;
        // A blocking call is over, and its block is free for the next file.
        match &*write {
            MaybeDone::Done(Ok(_)) => {
                let block = write.as_mut().take_output().and_then(Result::ok);
                self.store.writing.give(block.expect("it is done"));
            }
            _ => self.going.push_back(write),
        }
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

    async fn sync(&mut self) -> io::Result<()> {
        self.written().await?;
        self.store.disk.sync(&self.file).await
    }

    async fn finish(mut self, durable: bool) -> io::Result<()> {
        self.written().await?;
        if let Some(empty) = self.open.take() {
            self.store.writing.give(empty);
        }
        let disk = &self.store.disk;
        if self.offset % D::ALIGN as u64 != 0 {
            disk.truncate(&self.file, self.offset).await?;
        }
        if durable {
            disk.sync(&self.file).await?;
        }
        let file = Rc::try_unwrap(self.file).map_err(|_| io::Error::other("still in use"))?;
        disk.close(file).await
    }
}

/// Reads at places, each into a buffer of its own.
pub struct BlockPlaces<D: Disk> {
    store: Rc<Store<D>>,
    file: D::File,
    spare: std::cell::RefCell<Vec<D::Buffer>>,
}

impl<D: Disk> Places for BlockPlaces<D> {
    async fn read_at(&self, offset: u64, len: usize, look: impl FnOnce(&[u8])) -> io::Result<()> {
        let spare = self.spare.borrow_mut().pop();
        let buffer = spare.unwrap_or_else(|| self.store.disk.buffer(len));
        let (buffer, len) = self.store.disk.read_at(&self.file, buffer, offset).await?;
        look(&buffer.as_ref()[..len]);
        self.spare.borrow_mut().push(buffer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn within(block: usize, len: u64, files: usize, work: Work) -> (usize, usize, usize) {
        let shape = Shape {
            block,
            depth: 4,
            gathers: true,
        };
        let (shape, blocks) = shape.within(Demand { len, files, work }, BUDGET);
        (shape.block, shape.depth, blocks)
    }

    #[test]
    fn all_blocks_fit_the_budget() {
        for files in [1, 12, 64, 100, 1_000, 8_000] {
            for work in [Work::Reads, Work::Writes, Work::InTurn, Work::Lines] {
                for len in [6_000, 28_672, 60_000, 1 << 20, 1 << 30] {
                    let (block, _, blocks) = within(2 * MIB, len, files, work);
                    assert!(block * blocks <= BUDGET, "{files} files of {len}, {work:?}");
                }
            }
        }
    }

    #[test]
    fn one_stream_has_what_its_peer_likes_and_many_have_what_they_need() {
        let kib = 1 << 10;
        assert_eq!(within(2 * MIB, 1 << 30, 1, Work::Reads), (2 * MIB, 4, 5));
        assert_eq!(
            within(2 * MIB, 28_672, 10_000, Work::Writes),
            (32 * kib, 1, 2048)
        );
        assert_eq!(
            within(2 * MIB, 1 << 20, 1_000, Work::InTurn),
            (64 * kib, 4, 1024)
        );
        assert_eq!(
            within(2 * MIB, 60_000, 1_000, Work::Lines),
            (64 * kib, 1, 1_000)
        );
        assert_eq!(
            within(2 * MIB, 600_000, 100, Work::Lines),
            (256 * kib, 1, 200)
        );
    }

    #[test]
    fn every_log_has_a_block_to_fill_and_one_that_goes_out() {
        for files in [1, 10, 100, 1_000, 10_000] {
            let len = (60 << 20) / files as u64;
            let (block, _, blocks) = within(2 * MIB, len, files, Work::Lines);
            assert!(blocks >= 2 * files || block as u64 >= len, "{files} files");
        }
    }
}
