//! How a file is to be opened.

use crate::error::Errno;
use crate::io_mode::IoMode;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Options of an open, as in [`std::fs::OpenOptions`], and how the bytes are to travel.
///
/// ```
/// use efio_core::{IoMode, OpenOptions};
///
/// let upload = OpenOptions::new().write(true).create(true).truncate(true).io_mode(IoMode::Direct);
/// let log = OpenOptions::new().append(true).create(true);
/// # let _ = (upload, log);
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a file is opened with them"]
pub struct OpenOptions {
    pub(crate) read: bool,
    write: bool,
    append: bool,
    truncate: bool,
    create: bool,
    create_new: bool,
    pub(crate) mode: u32,
    pub(crate) io_mode: Option<IoMode>,
    pub(crate) prefetch: bool,
    pub(crate) wakers: bool,
    pub(crate) beneath: Option<Arc<OwnedFd>>,
    pub(crate) user_data: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl OpenOptions {
    /// Nothing is allowed yet: choose read, write or append.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-new-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let nothing = OpenOptions::new();
    /// assert!(engine.open(&path, &nothing).is_err()); // EINVAL: neither read nor write
    /// assert!(engine.open(&path, &nothing.read(true)).is_ok());
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn new() -> Self {
        Self {
            read: false,
            write: false,
            append: false,
            truncate: false,
            create: false,
            create_new: false,
            mode: 0o666,
            io_mode: None,
            prefetch: false,
            wakers: false,
            beneath: None,
            user_data: 0,
        }
    }

    /// The file can be read.
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-read-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().read(true))?;
    /// let mut text = String::new();
    /// file.blocking(Duration::from_secs(10)).read_to_string(&mut text)?;
    /// assert_eq!(text, "hello");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn read(mut self, read: bool) -> Self {
        self.read = read;
        self
    }

    /// The file can be written.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-write-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().write(true))?;
    /// file.write(b"HELLO")?;
    /// file.blocking(Duration::from_secs(10)).flush()?;
    /// assert_eq!(std::fs::read(&path)?, b"HELLO");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn write(mut self, write: bool) -> Self {
        self.write = write;
        self
    }

    /// Each write goes to where the file ends at that moment, also when others append to it. What
    /// one call accepted reaches the kernel in one piece, unless 8 MiB and more are waiting.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-append-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let file = engine.open(&path, &OpenOptions::new().append(true))?;
    /// file.write(b", world")?;
    /// file.blocking(Duration::from_secs(10)).flush()?;
    /// assert_eq!(std::fs::read(&path)?, b"hello, world");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn append(mut self, append: bool) -> Self {
        self.append = append;
        self
    }

    /// The file loses what it held. Needs `write`.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-truncate-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).truncate(true);
    /// let file = engine.open(&path, &options)?;
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// assert_eq!(std::fs::read(&path)?, b"");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn truncate(mut self, truncate: bool) -> Self {
        self.truncate = truncate;
        self
    }

    /// The file is made if it is not there. Needs `write` or `append`. Only then its first sync
    /// makes the name durable too: that of a file which was there is not ours to care for.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-create-{}", std::process::id()));
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).create(true);
    /// let file = engine.open(&path, &options)?;
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// assert!(path.exists());
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// The file must not be there yet (`O_EXCL`). Needs `write` or `append`.
    ///
    /// ```
    /// use std::io::ErrorKind;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-opt-create-new-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).create_new(true);
    /// let file = engine.open(&path, &options)?;
    /// let refused = file.blocking(Duration::from_secs(10)).wait_open().unwrap_err();
    /// assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn create_new(mut self, create_new: bool) -> Self {
        self.create_new = create_new;
        self
    }

    /// Permissions of a new file, before the umask; 0o666 unless set.
    ///
    /// ```
    /// use std::os::unix::fs::PermissionsExt;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-mode-{}", std::process::id()));
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().write(true).create(true).mode(0o600);
    /// let file = engine.open(&path, &options)?;
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// let mode = std::fs::metadata(&path)?.permissions().mode();
    /// assert_eq!(mode & 0o077, 0); // for its owner alone
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// How the bytes travel; the engine's choice unless set.
    ///
    /// ```
    /// use efio_core::IoMode;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-io-mode-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().read(true).io_mode(IoMode::Cached);
    /// let file = engine.open(&path, &options)?;
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// assert_eq!(file.stats()?.mode, IoMode::Cached);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn io_mode(mut self, io_mode: IoMode) -> Self {
        self.io_mode = Some(io_mode);
        self
    }

    /// Reading ahead begins with the open instead of the first read.
    ///
    /// ```
    /// use std::io::Read;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-prefetch-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().read(true).prefetch(true);
    /// let file = engine.open(&path, &options)?; // the read begins here
    /// let mut text = String::new();
    /// file.blocking(Duration::from_secs(10)).read_to_string(&mut text)?;
    /// assert_eq!(text, "hello");
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn prefetch(mut self, prefetch: bool) -> Self {
        self.prefetch = prefetch;
        self
    }

    /// Whether the file sends events; it does unless set to `false`. Without them it belongs to
    /// tasks and to calls that wait: they are woken, and nothing of the file goes to the queue or
    /// the callback. Only the completion of a positional call does, because it carries a buffer.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-events-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let options = OpenOptions::new().read(true).events(false);
    /// let file = engine.open(&path, &options)?;
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// assert_eq!(engine.events().try_next(), None);
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn events(mut self, events: bool) -> Self {
        self.wakers = !events;
        self
    }

    /// The path is relative to `directory` and may not leave it, whatever `..` and symbolic links
    /// it goes through: `openat2(2)` with `RESOLVE_BENEATH`, or component by component where that
    /// does not exist.
    ///
    /// ```
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-opt-beneath-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// let directory = std::fs::File::open(path.parent().expect("it has one"))?;
    /// let options = OpenOptions::new().read(true).beneath(directory);
    /// let file = engine.open(path.file_name().expect("it has one"), &options)?;
    /// file.blocking(Duration::from_secs(10)).wait_open()?;
    /// let outside = engine.open("../etc", &options)?;
    /// assert!(outside.blocking(Duration::from_secs(10)).wait_open().is_err());
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn beneath(mut self, directory: impl Into<OwnedFd>) -> Self {
        self.beneath = Some(Arc::new(directory.into()));
        self
    }

    /// A number that every [`Event`](crate::Event) of the file carries, as the data of
    /// `epoll_ctl(2)` does; 0 unless set. An index into a table of connections, for example: then
    /// no map from [`Fd`](crate::Fd) to connection is needed. efio does not interpret it.
    ///
    /// ```
    /// use efio_core::{Engine, OpenOptions};
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-user-data-{}", std::process::id()));
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let engine = Engine::builder()
    ///     .on_event(move |event| {
    ///         let _ = sender.send(event);
    ///     })
    ///     .start()?;
    /// let options = OpenOptions::new().write(true).create(true).user_data(7);
    /// let _file = engine.open(&path, &options)?;
    /// let opened = receiver.recv().expect("the engine runs");
    /// assert_eq!(opened.user_data, 7);
    /// # std::fs::remove_file(path)?;
    /// # Ok(()) }
    /// ```
    pub fn user_data(mut self, user_data: u64) -> Self {
        self.user_data = user_data;
        self
    }

    pub(crate) fn appends(&self) -> bool {
        self.append
    }

    pub(crate) fn writes(&self) -> bool {
        self.write || self.append
    }

    /// Flags for `open(2)`.
    ///
    /// # Errors
    ///
    /// `EINVAL` for options that contradict each other (F5).
    pub(crate) fn flags(&self) -> io::Result<i32> {
        let access = match (self.read, self.writes()) {
            (true, false) => libc::O_RDONLY,
            (false, true) => libc::O_WRONLY,
            (true, true) => libc::O_RDWR,
            (false, false) => return Err(Errno(libc::EINVAL).into()),
        };
        let makes = self.create || self.create_new;
        let contradicts = (makes && !self.writes())
            || (self.truncate && (!self.write || self.append) && !self.create_new);
        if contradicts {
            return Err(Errno(libc::EINVAL).into());
        }
        let mut flags = access;
        for (set, flag) in [
            (self.append, libc::O_APPEND),
            (self.truncate && !self.create_new, libc::O_TRUNC),
            (makes, libc::O_CREAT),
            (self.create_new, libc::O_EXCL),
        ] {
            flags |= if set { flag } else { 0 };
        }
        Ok(flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F5.
    #[test]
    fn contradictions_are_refused() {
        let new = OpenOptions::new;
        for options in [
            new(),
            new().create(true),
            new().read(true).create(true),
            new().read(true).create_new(true),
            new().read(true).truncate(true),
            new().append(true).truncate(true),
        ] {
            let error = options.flags().unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EINVAL), "{options:?}");
        }
        let flags = new()
            .read(true)
            .write(true)
            .create_new(true)
            .truncate(true)
            .flags()
            .unwrap();
        assert_eq!(flags, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL);
        let flags = new().append(true).create(true).flags().unwrap();
        assert_eq!(flags, libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT);
    }
}
