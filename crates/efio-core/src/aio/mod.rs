//! Files as asynchronous streams. The io traits of futures and tokio are thin layers over the polls
//! of [`File`], each behind its feature; the driver wakes the tasks itself, and no runtime's
//! reactor or thread pool is needed.

#[cfg(feature = "futures-io")]
mod futures;
#[cfg(feature = "tokio")]
mod tokio;

use crate::caller::Locked;
use crate::caller::position::Place;
use crate::caller::transfer::Loan;
use crate::engine::Engine;
use crate::fd::{About, Notify, Unwritten};
use crate::file::File;
use crate::op::OpenToken;
use crate::options::OpenOptions;
use crate::page::PageSlice;
use std::future::poll_fn;
use std::io::{self, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

/// A file for tasks: `AsyncRead`, `AsyncBufRead`, `AsyncWrite` and `AsyncSeek` of tokio and of
/// futures, each behind its feature. It works on any runtime, with one thread or several.
///
/// - A **write** is ready as soon as the bytes are in memory. **Flush** is ready when the kernel
///   has them all; [`sync`](Self::sync) when they are durable.
/// - **Shutdown** (close, in futures) closes the file and brings its first error. A file that is
///   dropped instead is written and closed in the background, and its error is lost.
/// - **`AsyncBufRead`** copies nothing: it shows the pages that the disk filled.
/// - **Seek** takes no time, but for `SeekFrom::End`: only the kernel knows where a file ends. What
///   was accepted goes to it first, then it is asked ([`File::len`]). Behind an append the position
///   is the end of the file: then the same goes for `SeekFrom::Current` and `stream_position`.
///
/// # Cancel safety
///
/// Every future can be dropped before it is ready, in a `select!` or at a timeout:
///
/// | dropped | what has happened |
/// |---|---|
/// | [`open`](Self::open) | cancelled: nothing is truncated later; the file may have been made |
/// | read, `fill_buf` | nothing: the bytes are there for the next one |
/// | write | nothing; once it was ready its bytes are accepted and stay so |
/// | flush, [`sync`](Self::sync) | what was accepted goes to disk all the same |
/// | seek | nothing: the position is where it was |
/// | shutdown, close | goes on in the background |
/// | the file itself | written and closed in the background; opens behind it wait for that |
///
/// The next seek of tokio waits for the answer to one that was dropped, and has its error if it
/// went before the start of the file. A flush right behind one that was dropped goes on with that:
/// what was written in between by the number of the file only ([`Engine::file`]) is not in it.
///
/// The combinators of tokio and futures add their own: a `write_all` that is dropped may have
/// written a part, a `read_exact` may have read one.
///
/// ```
/// use efio_core::{AsyncFile, Engine, OpenOptions};
///
/// # #[cfg(feature = "tokio")]
/// async fn greet(engine: &Engine, path: &std::path::Path) -> std::io::Result<()> {
///     use tokio::io::AsyncWriteExt;
///
///     let options = OpenOptions::new().write(true).create(true);
///     let mut file = AsyncFile::open(engine, path, &options).await?;
///     file.write_all(b"hello").await?;
///     file.sync().await?;
///     file.shutdown().await
/// }
/// ```
#[derive(Debug)]
pub struct AsyncFile {
    file: File,
    /// The page that `AsyncBufRead` shows.
    shown: Option<Loan>,
    /// A seek from a place that only the kernel knows, begun and not completed, as tokio does it.
    seeks: Option<SeekFrom>,
    /// Where the position was before such a seek had to wait, until it is known that the seek was
    /// not dropped.
    before: Option<Place>,
    /// An answer that an earlier seek asked for is not for the next one.
    asks_anew: bool,
    /// The flush, or the seek of futures, that is pending, with what was accepted at its first
    /// poll.
    begun: Option<(Begun, u64)>,
    /// [`get_ref`](Self::get_ref) was called: what was accepted since may be of the same caller.
    is_lent: AtomicBool,
}

/// A call that goes on at its next poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    Flush,
    #[cfg(feature = "futures-io")]
    Seek(SeekFrom),
}

impl AsyncFile {
    /// Opens a file whose events wake its tasks and go nowhere else
    /// ([`OpenOptions::events`]).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, the open is cancelled: the file is not truncated, unless that
    /// was under way, and then every later open of the file through this engine comes behind it. It
    /// may have been made, because an `open(2)` that has begun cannot be called back.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::open`], and what the kernel says.
    ///
    /// ```
    /// use efio_core::AsyncFile;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-async-open-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # futures::executor::block_on(async {
    /// let options = OpenOptions::new().write(true);
    /// let file = AsyncFile::open(&engine, &path, &options).await?;
    /// assert!(file.get_ref().open_status()?);
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub async fn open(
        engine: &Engine,
        path: impl AsRef<Path>,
        options: &OpenOptions,
    ) -> io::Result<Self> {
        let options = options.clone().events(false);
        let token = Arc::new(OpenToken::new());
        let (shared, wanted) = (&engine.shared, Some(Arc::clone(&token)));
        let fd = shared.open(path.as_ref(), &options, wanted)?;
        let file = File::new(Arc::clone(shared), fd);
        // Dropped before the file, and so before its close.
        let _cancels = CancelOnDrop(token);
        poll_fn(|cx| file.poll_open(cx)).await?;
        Ok(Self::from(file))
    }

    /// Makes every byte accepted so far durable, and returns the durable mark that was reached, as
    /// [`Blocking::sync`](crate::Blocking::sync) does. What it takes to read the bytes back is
    /// durable too: the length, and the name of a new file. Times and owners may not be: that is
    /// between `sync_data` and `sync_all` of [`std::fs::File`].
    ///
    /// # Errors
    ///
    /// The file's failure, if there was one: a failed sync is never retried.
    ///
    /// ```
    /// use efio_core::AsyncFile;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-async-sync-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # futures::executor::block_on(async {
    /// # let options = OpenOptions::new().write(true);
    /// # let file = AsyncFile::open(&engine, &path, &options).await?;
    /// file.get_ref().write(b"HELLO")?; // or `write_all` of tokio or futures
    /// let mark = file.sync().await?;
    /// assert!(file.get_ref().progress()?.durable >= mark);
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub async fn sync(&self) -> io::Result<u64> {
        let mark = self.file.sync()?;
        poll_fn(|cx| self.file.poll_sync(cx, mark)).await?;
        Ok(mark)
    }

    /// Takes back the accepted bytes that the kernel did not take, after the file has failed; see
    /// [`File::take_unwritten`]. Cancel safe: the bytes stay for the next call.
    ///
    /// # Errors
    ///
    /// Those of [`File::poll_unwritten`].
    ///
    /// ```
    /// use efio_core::AsyncFile;
    /// use std::future::poll_fn;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-async-unwritten-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # futures::executor::block_on(async {
    /// # let options = OpenOptions::new().write(true).create(true);
    /// let file = AsyncFile::from(engine.open(path.join("nowhere"), &options)?);
    /// let accepted = file.get_ref().write(b"hello").unwrap_or(0); // none if it has failed already
    /// poll_fn(|cx| file.get_ref().poll_open(cx)).await.unwrap_err(); // `path` is no directory
    /// let ranges = file.take_unwritten().await?;
    /// assert_eq!(ranges.iter().map(|range| range.bytes.len()).sum::<usize>(), accepted);
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub async fn take_unwritten(&self) -> io::Result<Vec<Unwritten>> {
        poll_fn(|cx| self.file.poll_unwritten(cx)).await
    }

    /// The file, for the calls that are the same for everybody: progress, failure, statistics.
    ///
    /// ```
    /// use efio_core::AsyncFile;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let name = format!("efio-async-get-ref-{}", std::process::id());
    /// # let path = std::env::temp_dir().join(name);
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # futures::executor::block_on(async {
    /// let options = OpenOptions::new().write(true);
    /// let file = AsyncFile::open(&engine, &path, &options).await?;
    /// assert_eq!(file.get_ref().failure()?, None);
    /// println!("{:?}", file.get_ref().stats()?);
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn get_ref(&self) -> &File {
        // Relaxed: only the exclusive owner looks at it, which comes after this borrow.
        self.is_lent.store(true, Ordering::Relaxed);
        &self.file
    }

    /// The file without the io traits.
    ///
    /// ```
    /// use efio_core::AsyncFile;
    ///
    /// # use efio_core::{Engine, OpenOptions};
    /// # use std::time::Duration;
    /// # fn main() -> std::io::Result<()> {
    /// # let path = std::env::temp_dir().join(format!("efio-async-inner-{}", std::process::id()));
    /// # std::fs::write(&path, b"hello")?;
    /// # let engine = Engine::new()?;
    /// # futures::executor::block_on(async {
    /// let options = OpenOptions::new().write(true);
    /// let file = AsyncFile::open(&engine, &path, &options).await?;
    /// let file = file.into_inner();
    /// assert_eq!(file.write(b"HELLO")?, 5);
    /// # Ok::<(), std::io::Error>(())
    /// # })?;
    /// # drop(engine);
    /// # std::fs::remove_file(path) }
    /// ```
    pub fn into_inner(self) -> File {
        self.file
    }

    /// For every call but those of a seek, and but for showing bytes.
    fn other(&mut self) -> &File {
        self.seeks = None;
        self.before = None;
        self.shown = None;
        self.begun = None;
        &self.file
    }

    /// Returns the mark of the first poll of `call`, and whether this is that poll: it is unless
    /// the call before was the same and pending. A call that was dropped looks like that, too; then
    /// its mark holds as long as nothing was accepted through [`get_ref`](Self::get_ref) since.
    fn begin(&mut self, call: Begun) -> io::Result<(u64, bool)> {
        let accepted = self.file.progress()?.accepted;
        let is_lent = std::mem::take(self.is_lent.get_mut());
        let goes_on =
            |&(begun, mark): &(Begun, u64)| begun == call && (mark == accepted || !is_lent);
        let begun = self.begun.filter(goes_on);
        Ok((begun.map_or(accepted, |(_, mark)| mark), begun.is_none()))
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (mark, _) = self.begin(Begun::Flush)?;
        let written = |file: &mut Locked<'_>, notify: Notify<'_>| file.written(mark, notify);
        let polled = self.other().poll(cx, written);
        self.begun = polled.is_pending().then_some((Begun::Flush, mark));
        polled
    }

    fn poll_copy(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.other().poll_read(cx, buf)
    }

    /// The bytes of the page in front; none at the end of file.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        self.other();
        let lend = |file: &mut Locked<'_>, notify: Notify<'_>| file.lend(1, usize::MAX, notify);
        let loan = self.shown.insert(ready!(self.file.poll(cx, lend))?);
        Poll::Ready(Ok(front(loan)))
    }

    /// Takes bytes that [`poll_bytes`](Self::poll_bytes) has shown.
    fn consume_bytes(&mut self, count: usize) {
        let Some(loan) = self.shown.take() else {
            return;
        };
        let count = count.min(front(&loan).len());
        // Refused when somebody read or moved the position by the number of the file meanwhile:
        // then these bytes are not the next ones any more.
        let _ = self.file.return_loan(loan, count);
    }

    fn poll_seek_to(&mut self, cx: &mut Context<'_>, to: SeekFrom) -> Poll<io::Result<u64>> {
        self.shown = None;
        let asks_anew = std::mem::take(&mut self.asks_anew);
        self.file.poll(cx, |file, notify| {
            if asks_anew {
                file.forget_questions(&[About::Size, About::End], notify);
            }
            file.seek_from(to, notify)
        })
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.other();
        self.file.poll_close(cx)
    }
}

/// Cancels an open when it is dropped; once the file is open, that changes nothing.
struct CancelOnDrop(Arc<OpenToken>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Any file will do; one opened without [`OpenOptions::events`] also sends events.
impl From<File> for AsyncFile {
    fn from(file: File) -> Self {
        Self {
            file,
            shown: None,
            seeks: None,
            before: None,
            asks_anew: false,
            begun: None,
            is_lent: AtomicBool::new(false),
        }
    }
}

/// The bytes of the one page that was lent.
fn front(loan: &Loan) -> &[u8] {
    loan.slices().first().map_or(&[], PageSlice::as_slice)
}
