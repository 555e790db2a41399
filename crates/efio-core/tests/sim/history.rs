//! What one descriptor did to one file: enough to say what the file holds after any number of the
//! accepted bytes.

use super::noise::noise;
use std::ops::Range;

/// Bytes that one call accepted.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// How many bytes were accepted before.
    pub mark: u64,
    /// Where they go; without a meaning in append mode.
    pub at: u64,
    pub bytes: &'static [u8],
}

impl Call {
    fn marks(&self) -> Range<u64> {
        self.mark..self.mark + self.bytes.len() as u64
    }
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
    foreign: Vec<(u64, &'static [u8])>,
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

    pub fn others_appended(&mut self, taken: u64, start: u32, len: usize) {
        self.foreign.push((taken, noise(start, len)));
    }

    pub fn accepted(&self) -> u64 {
        self.calls.last().map_or(0, |call| call.marks().end)
    }

    /// Whether a call begins at this mark, or none is left.
    pub fn is_between_calls(&self, mark: u64) -> bool {
        mark == self.accepted() || self.calls.iter().any(|call| call.mark == mark)
    }

    /// Where the bytes with marks in `marks` are in the file, in the order in which they came.
    pub fn pieces(&self, marks: Range<u64>) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for call in &self.calls {
            let range = call.marks();
            let (mut from, to) = (range.start.max(marks.start), range.end.min(marks.end));
            while from < to {
                // In append mode what others appended in between lies in between.
                let next = self.foreign.iter().map(|&(taken, _)| taken);
                let end = next
                    .filter(|taken| *taken > from)
                    .min()
                    .map_or(to, |next| next.min(to));
                let bytes = &call.bytes[(from - call.mark) as usize..(end - call.mark) as usize];
                pieces.push((self.offset(call, from), bytes));
                from = end;
            }
        }
        pieces
    }

    fn offset(&self, call: &Call, mark: u64) -> usize {
        if !self.append {
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
        for (at, bytes) in self.pieces(0..mark) {
            add_foreign(&mut file, done);
            put(&mut file, at, bytes);
            done += bytes.len() as u64;
        }
        add_foreign(&mut file, mark);
        file
    }

    /// The pieces with marks in `marks`, without what later calls wrote over.
    pub fn last_words(&self, marks: Range<u64>) -> Vec<Piece> {
        let pieces = self.pieces(marks.clone());
        let later = self.pieces(marks.end..self.accepted());
        let mut words = Vec::new();
        for (index, &piece) in pieces.iter().enumerate() {
            let mut left = vec![piece];
            for &cover in pieces[index + 1..].iter().chain(&later) {
                left = left
                    .into_iter()
                    .flat_map(|piece| without(piece, cover))
                    .collect();
            }
            words.extend(left);
        }
        words
    }
}

/// What of `piece` is not covered.
fn without((at, bytes): Piece, (cover, covered): Piece) -> impl Iterator<Item = Piece> {
    let len = bytes.len();
    let start = cover.clamp(at, at + len) - at;
    let end = (cover + covered.len()).clamp(at, at + len) - at;
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
