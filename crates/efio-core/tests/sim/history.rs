//! What one descriptor did to one file: enough to say what the file holds after any number of the
//! accepted bytes.

use super::payload::payload;
use std::ops::Range;

/// What one call changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The bytes go behind those of the call before, as far as the kernel is concerned.
    Stream,
    /// The bytes go to the kernel in any order with other such calls.
    At,
    /// The file becomes `at` bytes long.
    Truncate,
}

/// A call that was accepted.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub kind: Kind,
    /// How much was accepted before.
    pub mark: u64,
    /// Where the bytes go; in append mode only so long as nobody else appends.
    pub at: u64,
    pub bytes: &'static [u8],
}

impl Call {
    fn marks(&self) -> Range<u64> {
        let width = match self.kind {
            Kind::Truncate => 1,
            Kind::Stream | Kind::At => self.bytes.len() as u64,
        };
        self.mark..self.mark + width
    }
}

/// What a call, or a part of one, does to a file.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Put(Piece),
    Cut(usize),
}

/// A piece of a file: its offset, and its bytes.
pub type Piece = (usize, &'static [u8]);

/// The accepted calls of a descriptor.
pub struct History {
    /// The file when it was opened.
    base: Vec<u8>,
    /// Whether writes go to the end.
    pub append: bool,
    pub calls: Vec<Call>,
    /// What others appended, and how many of our bytes the kernel had by then.
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

    /// Another process changed a file that this descriptor only reads.
    pub fn replace_base(&mut self, base: &[u8]) {
        self.base.clear();
        self.base.extend_from_slice(base);
    }

    /// The file held something else when it was opened; what it holds in the end.
    pub fn begin_with(&mut self, base: Vec<u8>) -> Vec<u8> {
        let mut content = base.clone();
        self.base = base;
        for call in &mut self.calls {
            if self.append && call.kind == Kind::Stream {
                call.at = content.len() as u64;
            }
            match call.kind {
                Kind::Stream | Kind::At => put(&mut content, call.at as usize, call.bytes),
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

    /// Whether any call with a mark from `mark` on may overtake another one.
    pub fn is_positional(&self, mark: u64) -> bool {
        let mut late = self.calls.iter().filter(|call| call.marks().end > mark);
        late.any(|call| call.kind == Kind::At)
    }

    /// Whether the file was truncated through this descriptor.
    pub fn is_cut(&self) -> bool {
        self.calls.iter().any(|call| call.kind == Kind::Truncate)
    }

    /// What the calls with marks in `marks` do, in the order in which they came.
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
                // In append mode what others appended in between lies in between.
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

    /// The bytes with marks in `marks`, and where they go.
    pub fn pieces(&self, marks: Range<u64>) -> impl Iterator<Item = Piece> + use<> {
        let changes = self.changes(marks).into_iter();
        changes.filter_map(|change| match change {
            Change::Put(piece) => Some(piece),
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

    /// The file once the kernel has `mark` accepted bytes.
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

    /// The pieces with marks in `marks`, without what later calls wrote over or cut off.
    pub fn last_words(&self, marks: Range<u64>) -> Vec<Piece> {
        let changes = self.changes(marks.clone());
        let later = self.changes(marks.end..self.accepted());
        let mut words = Vec::new();
        for (index, &change) in changes.iter().enumerate() {
            let Change::Put(piece) = change else { continue };
            let mut left = vec![piece];
            for &cover in changes[index + 1..].iter().chain(&later) {
                let (from, to) = match cover {
                    Change::Put((at, bytes)) => (at, at + bytes.len()),
                    Change::Cut(len) => (len, usize::MAX),
                };
                let parts = left.into_iter().flat_map(|piece| without(piece, from, to));
                left = parts.collect();
            }
            words.extend(left);
        }
        words
    }

    /// Accepted bytes that the kernel does not have, as `take_unwritten` gives them.
    pub fn unwritten(&self, taken: u64) -> Vec<(u64, Vec<u8>)> {
        let mut ranges: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut place = taken;
        for change in self.changes(taken..self.accepted()) {
            let Change::Put((at, bytes)) = change else {
                place += 1;
                continue;
            };
            let at = if self.append { place } else { at as u64 };
            place += bytes.len() as u64;
            match ranges.last_mut() {
                Some((start, last)) if *start + last.len() as u64 == at => last.extend(bytes),
                _ => ranges.push((at, bytes.to_vec())),
            }
        }
        ranges
    }
}

/// What of `piece` does not lie from `from` to `to`.
fn without((at, bytes): Piece, from: usize, to: usize) -> impl Iterator<Item = Piece> {
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

/// Writes `bytes` at `at`, as the kernel does.
pub fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        // Nothing happens, also behind the end of file: it does not grow.
        return;
    }
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}
