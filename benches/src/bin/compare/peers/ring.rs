//! A bare io_uring: no library, direct IO, blocks in registered huge pages. What it reaches is
//! taken as the limit. Its loop polls one task and waits in io_uring_enter.

use super::blocks::{Access, Disk, Shape};
use crate::memory::Huge;
use crate::wakeup::Wakeup;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use std::cell::RefCell;
use std::ffi::CString;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::pin;
use std::rc::Rc;
use std::slice;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

const ENTRIES: u32 = 256;
/// The operation that waits for the bell.
const BELL: u64 = u64::MAX;

pub struct Ring<const BLOCK: usize> {
    shared: Rc<Shared>,
}

/// The ring goes before the memory that the kernel may still write to.
struct Shared {
    state: RefCell<State>,
    region: Huge,
}

struct State {
    ring: IoUring,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Starts of blocks that came back, and where the untouched rest of the region begins.
    blocks: Vec<usize>,
    fresh: usize,
}

enum Slot {
    Free,
    InFlight(Waker),
    Complete(i32),
}

/// A part of the region.
pub struct Block {
    shared: Rc<Shared>,
    start: usize,
    len: usize,
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: within the region, initialised, and used only by this block.
        unsafe { slice::from_raw_parts(self.shared.region.start().add(self.start), self.len) }
    }
}

impl AsMut<[u8]> for Block {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed by nobody else.
        unsafe { slice::from_raw_parts_mut(self.shared.region.start().add(self.start), self.len) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.shared.state.borrow_mut().blocks.push(self.start);
    }
}

impl State {
    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        // SAFETY: what an entry points to outlives its completion: see `Shared::operate`.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.ring.submit()?;
        }
        Ok(())
    }

    fn reap(&mut self, bell: &Wakeup) -> io::Result<()> {
        let mut woken = Vec::new();
        let completions: Vec<cqueue::Entry> = self.ring.completion().collect();
        for entry in completions {
            if entry.user_data() == BELL {
                bell.silence();
                self.listen(bell)?;
                continue;
            }
            let slot = &mut self.slots[entry.user_data() as usize];
            if let Slot::InFlight(waker) = std::mem::replace(slot, Slot::Complete(entry.result())) {
                woken.push(waker);
            }
        }
        woken.into_iter().for_each(Waker::wake);
        Ok(())
    }

    fn listen(&mut self, bell: &Wakeup) -> io::Result<()> {
        let poll = opcode::PollAdd::new(types::Fd(bell.fd()), libc::POLLIN as u32);
        self.push(&poll.build().user_data(BELL))
    }
}

impl Shared {
    /// Runs one operation. What the entry points to has to live until the end of this future, and
    /// the future has to be driven to its end.
    async fn operate(&self, entry: squeue::Entry, at_once: bool) -> io::Result<i32> {
        let mut in_flight = None;
        let result = poll_fn(|cx| self.poll(cx, &mut in_flight, &entry, at_once)).await?;
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result));
        }
        Ok(result)
    }

    fn poll(
        &self,
        cx: &Context<'_>,
        in_flight: &mut Option<usize>,
        entry: &squeue::Entry,
        at_once: bool,
    ) -> Poll<io::Result<i32>> {
        let state = &mut *self.state.borrow_mut();
        let Some(index) = *in_flight else {
            let index = state.free.pop().unwrap_or_else(|| {
                state.slots.push(Slot::Free);
                state.slots.len() - 1
            });
            *in_flight = Some(index);
            state.slots[index] = Slot::InFlight(cx.waker().clone());
            state.push(&entry.clone().user_data(index as u64))?;
            if at_once {
                state.ring.submit()?;
            }
            return Poll::Pending;
        };
        match &mut state.slots[index] {
            Slot::Complete(result) => {
                let result = *result;
                state.slots[index] = Slot::Free;
                state.free.push(index);
                Poll::Ready(Ok(result))
            }
            Slot::InFlight(waker) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            Slot::Free => unreachable!("an operation under way has a slot"),
        }
    }

    fn start(region: Huge) -> io::Result<Self> {
        let mut builder = IoUring::builder();
        builder.setup_single_issuer().setup_defer_taskrun();
        let ring = builder.build(ENTRIES)?;
        let slabs: Vec<_> = (0..region.len() / Huge::PAGE)
            .map(|slab| libc::iovec {
                // SAFETY: within the region.
                iov_base: unsafe { region.start().add(slab * Huge::PAGE) }.cast(),
                iov_len: Huge::PAGE,
            })
            .collect();
        // SAFETY: the region outlives the ring.
        unsafe { ring.submitter().register_buffers(&slabs)? };
        let state = State {
            ring,
            slots: Vec::new(),
            free: Vec::new(),
            blocks: Vec::new(),
            fresh: 0,
        };
        Ok(Self {
            state: state.into(),
            region,
        })
    }

    fn block_on<T>(&self, bell: &Arc<Wakeup>, task: impl Future<Output = T>) -> io::Result<T> {
        let mut task = pin!(task);
        let waker = bell.waker();
        self.state.borrow_mut().listen(bell)?;
        loop {
            if bell.take()
                && let Poll::Ready(value) = task.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return Ok(value);
            }
            let state = &mut *self.state.borrow_mut();
            match state.ring.submit_and_wait(usize::from(!bell.is_notified())) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => state.reap(bell)?,
            }
        }
    }
}

/// From this size on an operation is given to the kernel at once, below it with others.
const LARGE: usize = 64 << 10;

impl<const BLOCK: usize> Disk for Ring<BLOCK> {
    type File = File;
    type Buffer = Block;
    const SHAPE: Shape = Shape {
        block: BLOCK,
        depth: 4,
        gathers: true,
    };
    const ALIGN: usize = 4096;

    fn run<T>(memory: usize, body: impl AsyncFnOnce(Self) -> io::Result<T>) -> io::Result<T> {
        let bell = Wakeup::new()?;
        let shared = Rc::new(Shared::start(Huge::new(memory)?)?);
        let ring = Self {
            shared: Rc::clone(&shared),
        };
        shared.block_on(&bell, body(ring))?
    }

    async fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        let flags = match access {
            Access::Read => libc::O_RDONLY,
            Access::Create => libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC,
        };
        let path = CString::new(path.as_os_str().as_bytes())?;
        let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr())
            .flags(flags | libc::O_DIRECT | libc::O_CLOEXEC)
            .mode(0o666);
        let fd = self.shared.operate(open.build(), false).await?;
        // SAFETY: the kernel has just opened it for us.
        Ok(unsafe { File::from_raw_fd(fd) })
    }

    fn buffer(&self, len: usize) -> Block {
        let state = &mut *self.shared.state.borrow_mut();
        let start = state.blocks.pop().unwrap_or_else(|| {
            let start = state.fresh;
            state.fresh += len;
            assert!(
                state.fresh <= self.shared.region.len(),
                "the region is used up"
            );
            start
        });
        Block {
            shared: Rc::clone(&self.shared),
            start,
            len,
        }
    }

    async fn read_at(
        &self,
        file: &File,
        mut block: Block,
        offset: u64,
    ) -> io::Result<(Block, usize)> {
        let slab = (block.start / Huge::PAGE) as u16;
        let len = block.len;
        let read = opcode::ReadFixed::new(
            types::Fd(file.as_raw_fd()),
            block.as_mut().as_mut_ptr(),
            len as u32,
            slab,
        );
        let read = read.offset(offset).build();
        let read = self.shared.operate(read, len >= LARGE).await?;
        Ok((block, read as usize))
    }

    async fn write_at(
        &self,
        file: &File,
        block: Block,
        len: usize,
        offset: u64,
    ) -> io::Result<Block> {
        let slab = (block.start / Huge::PAGE) as u16;
        let start = block.as_ref().as_ptr();
        let write = opcode::WriteFixed::new(types::Fd(file.as_raw_fd()), start, len as u32, slab);
        let wrote = self
            .shared
            .operate(write.offset(offset).build(), len >= LARGE)
            .await?;
        if wrote as usize != len {
            return Err(io::Error::other("a short write"));
        }
        Ok(block)
    }

    async fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    async fn sync(&self, file: &File) -> io::Result<()> {
        let sync =
            opcode::Fsync::new(types::Fd(file.as_raw_fd())).flags(types::FsyncFlags::DATASYNC);
        self.shared.operate(sync.build(), false).await.map(drop)
    }

    async fn close(&self, file: File) -> io::Result<()> {
        use std::os::fd::IntoRawFd;
        let close = opcode::Close::new(types::Fd(file.into_raw_fd()));
        self.shared.operate(close.build(), false).await.map(drop)
    }
}
