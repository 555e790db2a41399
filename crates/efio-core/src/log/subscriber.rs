//! Makes a log the writer of `tracing-subscriber`.

use super::LogWriter;
use tracing_subscriber::fmt::MakeWriter;

/// One event is one call of write, and so one line.
///
/// ```
/// use efio_core::log::LogOptions;
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("efio-tracing-{}", std::process::id()));
/// let (log, guard) = LogOptions::new().open(&path)?;
/// let subscriber = tracing_subscriber::fmt().with_writer(log).finish();
/// # drop(subscriber);
/// guard.close(std::time::Duration::from_secs(5))?;
/// # std::fs::remove_file(path)?;
/// # Ok(()) }
/// ```
impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a LogWriter;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}
