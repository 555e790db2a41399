//! The calls of one descriptor on one file: enough to compute what the file holds after any number
//! of the accepted bytes.

use super::payload::payload;
use std::ops::Range;

/// The kind of a call that changes the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A stream write: the kernel gets its bytes after those of the call before.
    Stream,
    /// A positional write: the kernel gets its bytes in any order with other such calls.
    Positional,
    /// A truncation to `at` bytes.
    Truncate,
}

/// A call that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub kind: Kind,
    /// The bytes that were accepted before.
    pub mark: u64,
    /// The offset of the bytes; in append mode it is right only as long as no other process
    /// appends.
    pub at: u64,
    pub bytes: &'static [u8],
}

impl Call {
    fn marks(&self) -> Range<u64> {
        let len = match self.kind {
            Kind::Truncate => 1,
            Kind::Stream | Kind::Positional => self.bytes.len() as u64,
        };
        self.mark..self.mark + len
    }
}

/// The effect of a call, or of a part of one, on a file.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Put(Extent),
    Cut(usize),
}

/// A part of a file: its offset and its bytes.
pub type Extent = (usize, &'static [u8]);

/// The accepted calls of a descriptor.
pub struct History {
    /// The content when the file was opened.
    base: Vec<u8>,
    /// Whether writes go to the end.
    pub append: bool,
    pub calls: Vec<Call>,
    /// The bytes that others appended, each with how many of ours the kernel had by then.
    pub foreign: Vec<(u64, &'static [u8])>,
}

impl History {
    pub fn new(base: Vec<u8>, append: bool) -> Self {
        Self {
            base,
            append,
            calls: Vec::new(),
            foreign: Vec::new(),
        }
    }

    pub fn base(&self) -> &[u8] {
        &self.base
    }

    /// Takes over the content of a file that another process changed.
    pub fn replace_base(&mut self, base: &[u8]) {
        self.base.clear();
        self.base.extend_from_slice(base);
    }

    /// Replaces the content at the open; returns what the file holds once all calls are written.
    pub fn rebase(&mut self, base: Vec<u8>) -> Vec<u8> {
        let mut content = base.clone();
        self.base = base;
        for call in &mut self.calls {
            if self.append && call.kind == Kind::Stream {
                call.at = content.len() as u64;
            }
            match call.kind {
                Kind::Stream | Kind::Positional => put(&mut content, call.at as usize, call.bytes),
                Kind::Truncate => content.resize(call.at as usize, 0),
            }
        }
        content
    }

    pub fn others_appended(&mut self, taken: u64, start: u32, len: usize) {
        self.foreign.push((taken, payload(start, len)));
    }

    pub fn accepted(&self) -> u64 {
        self.calls.last().map_or(0, |call| call.marks().end)
    }

    /// Whether a call begins at this mark, or none is left.
    pub fn is_between_calls(&self, mark: u64) -> bool {
        mark == self.accepted() || self.calls.iter().any(|call| call.mark == mark)
    }

    /// Whether any call from `mark` on may overtake another.
    pub fn is_positional(&self, mark: u64) -> bool {
        let mut late = self.calls.iter().filter(|call| call.marks().end > mark);
        late.any(|call| call.kind == Kind::Positional)
    }

    /// Whether the file was truncated through this descriptor.
    pub fn is_cut(&self) -> bool {
        self.calls.iter().any(|call| call.kind == Kind::Truncate)
    }

    /// Returns the effects of the calls within `marks`, in the order of the calls.
    pub fn changes(&self, marks: Range<u64>) -> Vec<Change> {
        let mut changes = Vec::new();
        for call in &self.calls {
            let range = call.marks();
            let (mut from, to) = (range.start.max(marks.start), range.end.min(marks.end));
            if call.kind == Kind::Truncate && from < to {
                changes.push(Change::Cut(call.at as usize));
                continue;
            }
            while from < to {
                // In append mode the bytes that others appended meanwhile lie in between.
                let next = self.foreign.iter().map(|&(taken, _)| taken);
                let next = next.filter(|taken| *taken > from).min();
                let end = next.map_or(to, |next| next.min(to));
                let bytes = &call.bytes[(from - call.mark) as usize..(end - call.mark) as usize];
                changes.push(Change::Put((self.offset(call, from), bytes)));
                from = end;
            }
        }
        changes
    }

    /// Returns the bytes within `marks`, each with its offset.
    pub fn extents(&self, marks: Range<u64>) -> impl Iterator<Item = Extent> + use<> {
        let changes = self.changes(marks).into_iter();
        changes.filter_map(|change| match change {
            Change::Put(extent) => Some(extent),
            Change::Cut(_) => None,
        })
    }

    fn offset(&self, call: &Call, mark: u64) -> usize {
        if self.foreign.is_empty() {
            return (call.at + mark - call.mark) as usize;
        }
        let others = self.foreign.iter().filter(|&&(taken, _)| taken <= mark);
        let others: usize = others.map(|(_, bytes)| bytes.len()).sum();
        self.base.len() + mark as usize + others
    }

    /// Returns the content of the file once the kernel has `mark` accepted bytes.
    pub fn replay(&self, mark: u64) -> Vec<u8> {
        let mut file = self.base.clone();
        let mut foreign = self.foreign.iter().peekable();
        let mut add_foreign = |file: &mut Vec<u8>, upto: u64| {
            while let Some((_, bytes)) = foreign.next_if(|&&(taken, _)| taken <= upto) {
                file.extend_from_slice(bytes);
            }
        };
        let mut done = 0;
        for change in self.changes(0..mark) {
            add_foreign(&mut file, done);
            match change {
                Change::Put((at, bytes)) => {
                    put(&mut file, at, bytes);
                    done += bytes.len() as u64;
                }
                Change::Cut(len) => {
                    file.resize(len, 0);
                    done += 1;
                }
            }
        }
        add_foreign(&mut file, mark);
        file
    }

    /// Returns the extents within `marks`, without what later calls overwrote or truncated.
    pub fn surviving(&self, marks: Range<u64>) -> Vec<Extent> {
        let changes = self.changes(marks.clone());
        let later = self.changes(marks.end..self.accepted());
        let mut extents = Vec::new();
        for (index, &change) in changes.iter().enumerate() {
            let Change::Put(extent) = change else {
                continue;
            };
            let mut left = vec![extent];
            for &cover in changes[index + 1..].iter().chain(&later) {
                let (from, to) = match cover {
                    Change::Put((at, bytes)) => (at, at + bytes.len()),
                    Change::Cut(len) => (len, usize::MAX),
                };
                let parts = left
                    .into_iter()
                    .flat_map(|extent| without(extent, from, to));
                left = parts.collect();
            }
            extents.extend(left);
        }
        extents
    }

    /// Returns the accepted bytes that the kernel does not have, in the shape of `take_unwritten`.
    pub fn unwritten(&self, taken: u64) -> Vec<(u64, Vec<u8>)> {
        let mut ranges: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut mark = taken;
        for change in self.changes(taken..self.accepted()) {
            let Change::Put((at, bytes)) = change else {
                mark += 1;
                continue;
            };
            let at = if self.append { mark } else { at as u64 };
            mark += bytes.len() as u64;
            match ranges.last_mut() {
                Some((start, last)) if *start + last.len() as u64 == at => last.extend(bytes),
                _ => ranges.push((at, bytes.to_vec())),
            }
        }
        ranges
    }
}

/// Returns the parts of the extent outside `from..to`.
fn without((at, bytes): Extent, from: usize, to: usize) -> impl Iterator<Item = Extent> {
    let len = bytes.len();
    let start = from.clamp(at, at + len) - at;
    let end = to.clamp(at, at + len) - at;
    let parts = if start < end {
        [(at, &bytes[..start]), (at + end, &bytes[end..])]
    } else {
        [(at, bytes), (at, &bytes[..0])]
    };
    parts.into_iter().filter(|(_, bytes)| !bytes.is_empty())
}

/// Writes `bytes` at offset `at`, as the kernel does.
pub fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        // An empty write has no effect, also after the end of file: the file does not grow.
        return;
    }
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}
