//! Blocking system calls on the loop's own thread: plain, O_DIRECT, RWF_DONTCACHE. After each call
//! the thread gives way once, as a loop with other work does.

use super::blocks::{Access, Disk, Shape};
use crate::memory::Aligned;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What differs between the three.
pub trait Flavour: 'static {
    const SHAPE: Shape;
    const ALIGN: usize;
    const OPEN: i32;
    const CALL: i32;
}

pub struct Blocking<F>(std::marker::PhantomData<F>);

pub struct Plain;
pub struct Aside;
pub struct Dropped;
pub type Std = Blocking<Plain>;
pub type Direct = Blocking<Aside>;
pub type DontCache = Blocking<Dropped>;

impl Flavour for Plain {
    const SHAPE: Shape = Shape {
        block: 64 << 10,
        depth: 1,
        gathers: false,
    };
    const ALIGN: usize = 1;
    const OPEN: i32 = 0;
    const CALL: i32 = 0;
}

impl Flavour for Aside {
    const SHAPE: Shape = Shape {
        block: 1 << 20,
        depth: 1,
        gathers: true,
    };
    const ALIGN: usize = 4096;
    const OPEN: i32 = libc::O_DIRECT;
    const CALL: i32 = 0;
}

impl Flavour for Dropped {
    const SHAPE: Shape = Shape {
        block: 2 << 20,
        depth: 1,
        gathers: true,
    };
    const ALIGN: usize = 1;
    const OPEN: i32 = 0;
    const CALL: i32 = 0x80; // RWF_DONTCACHE, Linux 6.14
}

impl<F: Flavour> Disk for Blocking<F> {
    type File = File;
    type Buffer = Aligned;
    const SHAPE: Shape = F::SHAPE;
    const ALIGN: usize = F::ALIGN;

    fn run<T>(_: usize, body: impl AsyncFnOnce(Self) -> io::Result<T>) -> io::Result<T> {
        futures::executor::block_on(body(Self(std::marker::PhantomData)))
    }

    async fn open(&self, path: &Path, access: Access) -> io::Result<File> {
        let create = access == Access::Create;
        OpenOptions::new()
            .read(!create)
            .write(create)
            .create(create)
            .truncate(create)
            .custom_flags(F::OPEN)
            .open(path)
    }

    fn buffer(&self, len: usize) -> Aligned {
        Aligned::new(len)
    }

    async fn read_at(
        &self,
        file: &File,
        mut buffer: Aligned,
        offset: u64,
    ) -> io::Result<(Aligned, usize)> {
        let mut done = 0;
        while done < buffer.len() {
            let rest = &mut buffer.as_mut()[done..];
            let part = libc::iovec {
                iov_base: rest.as_mut_ptr().cast(),
                iov_len: rest.len(),
            };
            let at = (offset + done as u64) as i64;
            // SAFETY: one slice of memory of ours.
            let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, at, F::CALL) };
            if read < 0 {
                return Err(io::Error::last_os_error());
            }
            done += read as usize;
            // Short at the end of file only.
            if read == 0 || done % 4096 != 0 {
                break;
            }
        }
        Ok((buffer, done))
    }

    async fn write_at(
        &self,
        file: &File,
        buffer: Aligned,
        len: usize,
        offset: u64,
    ) -> io::Result<Aligned> {
        let mut done = 0;
        while done < len {
            let rest = &buffer.as_ref()[done..len];
            let part = libc::iovec {
                iov_base: rest.as_ptr().cast_mut().cast(),
                iov_len: rest.len(),
            };
            let at = (offset + done as u64) as i64;
            // SAFETY: one slice of memory of ours, which is only read.
            let wrote =
                unsafe { libc::pwritev2(file.as_raw_fd(), &raw const part, 1, at, F::CALL) };
            if wrote < 0 {
                return Err(io::Error::last_os_error());
            }
            done += wrote as usize;
        }
        Ok(buffer)
    }

    async fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    async fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    async fn close(&self, _: File) -> io::Result<()> {
        Ok(())
    }
}
