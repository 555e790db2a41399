//! The IO mode of a file, and why it has it: what was chosen at the open, and what the kernel has
//! refused since.

use crate::io_mode::IoMode;
use crate::op::CacheMode;
use crate::plan::IoCaps;

/// Why a file has the mode that [`FileStats::mode`](crate::FileStats::mode) returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ModeReason {
    /// The kernel has not opened the file yet, or refused to.
    #[default]
    NotOpen,
    /// The options asked for it.
    Asked,
    /// [`IoMode::Auto`] chose it: there is direct IO, or writes append.
    Chosen,
    /// There is no direct IO for this file: its file system or the system has none, or writes
    /// append.
    NoDirect,
    /// Direct IO was chosen, and the kernel refused a direct read or write.
    DirectRefused,
    /// The kernel or the file system does not support uncached IO: all buffered IO stays in the
    /// page cache.
    UncachedRefused,
}

/// A mode, and the reason for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModeStatus {
    /// Never `Auto` once the file is open.
    pub mode: IoMode,
    /// The reason for it.
    pub why: ModeReason,
    /// Workers perform its reads and writes, with io_uring too.
    pub on_workers: bool,
}

impl ModeStatus {
    /// Returns the status at the open of a file whose direct IO has an alignment of `dio_align`
    /// bytes, 0 when there is none.
    pub fn at_open(asked: IoMode, append: bool, dio_align: u32) -> Self {
        let direct = dio_align > 0 && !append;
        let (mode, why) = match asked {
            IoMode::Auto if direct => (IoMode::Direct, ModeReason::Chosen),
            IoMode::Auto if append => (IoMode::Uncached, ModeReason::Chosen),
            IoMode::Auto => (IoMode::Cached, ModeReason::NoDirect),
            IoMode::Direct if !direct => (IoMode::Uncached, ModeReason::NoDirect),
            asked => (asked, ModeReason::Asked),
        };
        Self {
            mode,
            why,
            on_workers: false,
        }
    }

    /// Returns the status after the kernel refused a cache mode; `left` are those that remain.
    pub fn with(self, left: IoCaps, append: bool) -> Self {
        let mode = match left.written {
            _ if left.dio_align > 0 && !append => IoMode::Direct,
            CacheMode::Cached => IoMode::Cached,
            _ => IoMode::Uncached,
        };
        let why = match self.mode {
            now if now == mode => self.why,
            IoMode::Direct => ModeReason::DirectRefused,
            _ => ModeReason::UncachedRefused,
        };
        Self { mode, why, ..self }
    }

    /// Packs the status into a byte, which is 0 before the open:
    ///
    /// ```text
    ///       7       6     2  1    0
    ///  ┌────────────┬───────┬──────┐
    ///  │ on_workers │  why  │ mode │      Uncached (2) because of NoDirect (3): 0b0_00011_10
    ///  └────────────┴───────┴──────┘
    /// ```
    pub fn code(self) -> u8 {
        u8::from(self.on_workers) << 7 | (self.why as u8) << 2 | self.mode as u8
    }

    /// Unpacks what [`code`](Self::code) returned.
    pub fn from_code(code: u8) -> Self {
        const MODES: [IoMode; 4] = [
            IoMode::Auto,
            IoMode::Direct,
            IoMode::Uncached,
            IoMode::Cached,
        ];
        const REASONS: [ModeReason; 6] = [
            ModeReason::NotOpen,
            ModeReason::Asked,
            ModeReason::Chosen,
            ModeReason::NoDirect,
            ModeReason::DirectRefused,
            ModeReason::UncachedRefused,
        ];
        Self {
            mode: MODES[usize::from(code & 3)],
            why: REASONS[usize::from(code >> 2 & 31)],
            on_workers: code >> 7 == 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_has_its_reason_and_fits_in_a_byte() {
        use IoMode::{Auto, Cached, Direct, Uncached};
        use ModeReason::{Asked, Chosen, DirectRefused, NoDirect, UncachedRefused};
        let all = [
            ((Auto, false, 4096), (Direct, Chosen)),
            ((Auto, true, 4096), (Uncached, Chosen)),
            ((Auto, true, 0), (Uncached, Chosen)),
            ((Auto, false, 0), (Cached, NoDirect)),
            ((Direct, false, 4096), (Direct, Asked)),
            ((Direct, false, 0), (Uncached, NoDirect)),
            ((Direct, true, 4096), (Uncached, NoDirect)),
            ((Uncached, false, 4096), (Uncached, Asked)),
            ((Cached, true, 4096), (Cached, Asked)),
        ];
        for ((asked, append, dio_align), (mode, why)) in all {
            let status = ModeStatus::at_open(asked, append, dio_align);
            let parts = (status.mode, status.why, status.on_workers);
            assert_eq!(parts, (mode, why, false), "{asked:?} {append} {dio_align}");
            assert_eq!(ModeStatus::from_code(status.code()), status);
            let on_workers = ModeStatus {
                on_workers: true,
                ..status
            };
            assert_eq!(ModeStatus::from_code(on_workers.code()), on_workers);
        }
        let left = |dio_align, mode| IoCaps {
            dio_align,
            buffered: mode,
            written: mode,
        };
        let direct = ModeStatus::at_open(Auto, false, 4096);
        // Its unaligned ends stay in the cache; the rest bypasses it as before.
        assert_eq!(direct.with(left(4096, CacheMode::Cached), false), direct);
        let refused = direct.with(left(0, CacheMode::Uncached), false);
        assert_eq!((refused.mode, refused.why), (Uncached, DirectRefused));
        let cached = refused.with(left(0, CacheMode::Cached), false);
        assert_eq!((cached.mode, cached.why), (Cached, UncachedRefused));
        assert_eq!(cached.with(left(0, CacheMode::Cached), false), cached);
        // Appends are never direct, whatever the reads are.
        let append =
            ModeStatus::at_open(Auto, true, 4096).with(left(4096, CacheMode::Cached), true);
        assert_eq!((append.mode, append.why), (Cached, UncachedRefused));
        assert_eq!(ModeStatus::from_code(cached.code()), cached);
        assert_eq!(ModeStatus::default().code(), 0);
    }
}
