//! A FUSE file system of our own, in a thread of the test: it speaks the protocol of `/dev/fuse`
//! itself, so that no library and no helper program is needed, only the right to mount.
//!
//! ```text
//!  File system ── /NAME ──► contents (may change), reported size, direct IO or not
//!  kernel ── request ──► serve ── reply ──► kernel
//! ```

use super::{Dir, skip};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A file that a program makes up.
#[derive(Clone, Default)]
pub struct Made {
    pub content: Vec<u8>,
    /// The size that the kernel is given.
    pub size: u64,
    /// Reads and writes go to the program as they are (`FOPEN_DIRECT_IO`).
    pub direct_io: bool,
    /// The most bytes that a read gives.
    pub most: usize,
}

type Files = Arc<Mutex<BTreeMap<String, Made>>>;

/// A mounted file system; it is taken away with this.
pub struct Fuse {
    dir: Dir,
    files: Files,
    server: Option<JoinHandle<()>>,
}

impl Fuse {
    /// Mounts one; prints a skip and returns `None` where that is not possible.
    pub fn new(files: &[(&str, Made)]) -> Option<Self> {
        let dir = Dir::new();
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = match device {
            Ok(device) => device,
            Err(why) => return say(&format!("/dev/fuse: {why}")),
        };
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        let place = CString::new(dir.path().as_os_str().as_bytes()).unwrap();
        let options = CString::new(options).unwrap();
        // SAFETY: strings that live through the call.
        let mounted = unsafe {
            libc::mount(
                c"efio-test".as_ptr(),
                place.as_ptr(),
                c"fuse".as_ptr(),
                libc::MS_NOSUID | libc::MS_NODEV,
                options.as_ptr().cast(),
            )
        };
        if mounted != 0 {
            let why = std::io::Error::last_os_error();
            return say(&format!("mounting a FUSE file system: {why}"));
        }
        let named = |(name, made): &(&str, Made)| ((*name).to_owned(), made.clone());
        let files: Files = Arc::new(Mutex::new(files.iter().map(named).collect()));
        let theirs = Arc::clone(&files);
        let server = std::thread::spawn(move || serve(device, &theirs));
        Some(Self {
            dir,
            files,
            server: Some(server),
        })
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Changes a file without the kernel's knowledge.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Made)) {
        change(self.files.lock().unwrap().get_mut(name).unwrap());
    }
}

fn say<T>(why: &str) -> Option<T> {
    skip(why);
    None
}

impl Drop for Fuse {
    fn drop(&mut self) {
        let place = CString::new(self.dir.path().as_os_str().as_bytes()).unwrap();
        // SAFETY: a string that lives through the call.
        unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
        // The device returns ENODEV once the last file of it is closed, which may be later.
        drop(self.server.take());
    }
}

// The protocol: `<linux/fuse.h>`.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;
const STATX: u32 = 52;

/// `fuse_in_header` without its total length.
const HEADER: usize = 40;
const MAX_READ: u32 = 128 << 10;
const ASYNC_READ: u32 = 1;
const ASYNC_DIO: u32 = 1 << 15;
const FOPEN_DIRECT_IO: u32 = 1;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Answers requests until the file system is gone.
fn serve(mut device: File, files: &Files) {
    let mut buffer = vec![0; MAX_READ as usize + (64 << 10)];
    loop {
        let request = match device.read(&mut buffer) {
            Ok(n) if n >= HEADER => &buffer[..n],
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOENT)) => {
                continue;
            }
            _ => return,
        };
        let (code, unique, node) = (word(request, 4), long(request, 8), long(request, 16));
        let answer = match code {
            FORGET | BATCH_FORGET | INTERRUPT => continue,
            _ => answer(code, node, &request[HEADER..], files),
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(errno) => (-errno, Vec::new()),
        };
        let mut reply = Vec::with_capacity(16 + body.len());
        reply.extend((16 + body.len() as u32).to_ne_bytes());
        reply.extend(error.to_ne_bytes());
        reply.extend(unique.to_ne_bytes());
        reply.extend(body);
        // Refused when the request was interrupted.
        let _ = device.write(&reply);
    }
}

fn answer(code: u32, node: u64, body: &[u8], files: &Files) -> Result<Vec<u8>, i32> {
    let files = files.lock().unwrap();
    // The root is node 1, the files follow by name.
    let file = || files.values().nth(node as usize - 2).ok_or(libc::ENOENT);
    let mut out = Vec::new();
    match code {
        INIT => {
            out.extend(7u32.to_ne_bytes());
            out.extend(31u32.to_ne_bytes());
            out.extend((128u32 << 10).to_ne_bytes());
            out.extend((word(body, 12) & (ASYNC_READ | ASYNC_DIO)).to_ne_bytes());
            out.extend([0; 4]);
            out.extend(MAX_READ.to_ne_bytes());
            out.resize(64, 0);
        }
        LOOKUP => {
            let name = body.split(|&byte| byte == 0).next().unwrap_or(&[]);
            let number = files.keys().position(|key| key.as_bytes() == name);
            let number = number.ok_or(libc::ENOENT)?;
            let made = files.values().nth(number).ok_or(libc::ENOENT)?;
            out.extend((number as u64 + 2).to_ne_bytes());
            // Generation, and how long names and attributes are valid: not at all.
            out.resize(40, 0);
            out.extend(attributes(number as u64 + 2, Some(made)));
        }
        GETATTR => {
            out.resize(16, 0);
            let made = if node == 1 { None } else { Some(file()?) };
            out.extend(attributes(node, made));
        }
        OPEN => {
            out.extend(node.to_ne_bytes());
            let flags = if file()?.direct_io {
                FOPEN_DIRECT_IO
            } else {
                0
            };
            out.extend(flags.to_ne_bytes());
            out.resize(16, 0);
        }
        READ => {
            let made = file()?;
            let from = (long(body, 8) as usize).min(made.content.len());
            let len = (word(body, 16) as usize).min(made.most);
            let end = (from + len).min(made.content.len());
            out.extend(&made.content[from..end]);
        }
        STATFS => out.resize(80, 0),
        RELEASE | FLUSH => {}
        STATX => return Err(libc::ENOSYS),
        _ => return Err(libc::ENOSYS),
    }
    Ok(out)
}

/// `fuse_attr`: 88 bytes.
fn attributes(node: u64, made: Option<&Made>) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(node.to_ne_bytes());
    out.extend(made.map_or(0, |made| made.size).to_ne_bytes());
    // Blocks, and times with their nanoseconds.
    out.resize(60, 0);
    // A file that anybody reads, or a directory.
    let mode: u32 = if made.is_some() { 0o100_644 } else { 0o040_755 };
    out.extend(mode.to_ne_bytes());
    out.extend(1u32.to_ne_bytes());
    // Owner, group, device.
    out.resize(80, 0);
    out.extend(4096u32.to_ne_bytes());
    out.resize(88, 0);
    out
}
