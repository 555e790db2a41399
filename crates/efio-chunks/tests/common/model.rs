//! Two streams, joined by `transfer`, beside a naive model of each; the proptest and the fuzz
//! target both run it.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use efio_chunks::{ChunkReader, ChunkWriter, Options, PushError};

use crate::page::Page;

/// One step. The numbers are taken modulo something sensible where they need to be.
#[derive(Debug, Clone, Copy)]
pub enum Op {
    Push(usize),
    PushFrom(usize, usize),
    Open(usize, usize),
    Append(usize),
    Commit(usize),
    Seal,
    Read(usize),
    Peek(u64, usize),
    Consume(usize),
    Pop,
    PopAndPush,
    Transfer,
    Close,
    Abort,
    DropReader,
}

impl Op {
    /// Any three numbers are a step; small ones are likely.
    pub fn from_numbers(kind: u8, a: u16, b: u64) -> Self {
        let (small, other) = (usize::from(a), (b % 300) as usize);
        match kind % 30 {
            0..=4 => Self::Push(small % 200),
            5 => Self::PushFrom(small % 200, other),
            6..=8 => Self::Open(small % 200, other),
            9..=12 => Self::Append(small % 300),
            13 => Self::Commit(small % 300),
            14 => Self::Seal,
            15..=17 => Self::Read(small % 500),
            18 => Self::Peek(b, small % 500),
            19 => Self::Peek(b % 700, small % 500),
            20..=21 => Self::Consume(small % 500),
            22..=23 => Self::Pop,
            24 => Self::PopAndPush,
            25..=26 => Self::Transfer,
            27 if a % 8 == 0 => Self::Close,
            28 if a % 8 == 0 => Self::Abort,
            29 if a % 8 == 0 => Self::DropReader,
            _ => Self::Consume(usize::MAX),
        }
    }
}

/// The chunks with what is not consumed of them; the last one may be open.
#[derive(Default)]
struct Model {
    chunks: VecDeque<Vec<u8>>,
    /// The room of the open tail, which is then the last chunk.
    open: Option<usize>,
    limit: usize,
    ended: Option<bool>,
}

impl Model {
    fn len(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    fn bytes(&self) -> Vec<u8> {
        self.chunks.iter().flatten().copied().collect()
    }

    fn takes(&self, bytes: usize) -> bool {
        self.len() == 0 || self.len() + bytes <= self.limit || bytes == 0
    }

    fn add(&mut self, bytes: Vec<u8>, room: Option<usize>) {
        self.seal();
        self.chunks.push_back(bytes);
        self.open = room;
        self.tidy();
    }

    fn seal(&mut self) {
        self.open = None;
        self.tidy();
    }

    fn room(&self) -> usize {
        self.open
            .unwrap_or(0)
            .min(self.limit.saturating_sub(self.len()))
    }

    fn append(&mut self, bytes: &[u8]) {
        self.chunks.back_mut().unwrap().extend_from_slice(bytes);
        *self.open.as_mut().unwrap() -= bytes.len();
    }

    fn front_is_sealed(&self) -> bool {
        self.chunks.len() > usize::from(self.open.is_some())
    }

    fn consume(&mut self, mut count: usize) {
        for chunk in &mut self.chunks {
            let step = count.min(chunk.len());
            chunk.drain(..step);
            count -= step;
        }
        assert_eq!(count, 0);
        self.tidy();
    }

    /// Forgets sealed chunks without bytes.
    fn tidy(&mut self) {
        let open = self.open.and_then(|_| self.chunks.pop_back());
        self.chunks.retain(|chunk| !chunk.is_empty());
        self.chunks.extend(open);
    }
}

/// A stream and its model.
struct Pair {
    writer: Option<ChunkWriter<Page>>,
    reader: Option<ChunkReader<Page>>,
    model: Model,
}

impl Pair {
    fn new(limit: Option<usize>, hooks: bool) -> Self {
        let mut options = Options::new();
        if let Some(limit) = limit {
            options = options.max_bytes(limit);
        }
        if hooks {
            options = options
                .on_readable(Arc::new(|| {}))
                .on_writable(Arc::new(|| {}));
        }
        let (writer, reader) = options.build();
        let model = Model {
            limit: limit.unwrap_or(usize::MAX),
            ..Model::default()
        };
        Self {
            writer: Some(writer),
            reader: Some(reader),
            model,
        }
    }

    /// Everything that can be seen without changing it.
    fn check(&mut self, counting: bool) {
        let bytes = self.model.bytes();
        if let Some(writer) = &mut self.writer {
            assert_eq!(writer.is_reader_gone(), self.reader.is_none());
            if self.reader.is_some() {
                assert_eq!(writer.buffered(), bytes.len());
                assert_eq!(writer.room(), self.model.room());
                assert_eq!(writer.spare().len(), self.model.room());
            }
        }
        let Some(reader) = &mut self.reader else {
            return;
        };
        if counting {
            assert_eq!(reader.len(), bytes.len());
        }
        assert_eq!(reader.is_empty(), bytes.is_empty());
        let ended = self.model.ended.filter(|_| bytes.is_empty());
        assert_eq!(reader.is_closed(), ended.is_some());
        assert_eq!(reader.is_aborted(), ended == Some(true));
        let chunks = self.model.chunks.iter().filter(|chunk| !chunk.is_empty());
        assert!(
            reader
                .chunks()
                .map(|chunk| chunk.bytes())
                .eq(chunks.clone())
        );
        assert_eq!(
            reader.chunk(),
            chunks.clone().next().map_or(&[][..], |chunk| chunk)
        );
        let mut slices = [IoSlice::new(&[]); 3];
        let filled = reader.io_slices(&mut slices);
        assert_eq!(filled, chunks.count().min(3));
        let seen: Vec<u8> = slices[..filled]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect();
        assert!(bytes.starts_with(&seen));
        let sealed = self.model.front_is_sealed();
        match reader.front() {
            Some(front) => assert_eq!(front.is_sealed(), sealed),
            None => assert!(bytes.is_empty()),
        }
    }
}

/// The streams with everything that they need to run.
pub struct Machine {
    pairs: [Pair; 2],
    next: u8,
    steps: usize,
    alive: Arc<AtomicUsize>,
}

impl Machine {
    /// Two streams, the first of which transfers into the second.
    pub fn new(limits: [Option<usize>; 2], hooks: bool) -> Self {
        let pairs = limits.map(|limit| Pair::new(limit, hooks));
        Self {
            pairs,
            next: 0,
            steps: 0,
            alive: Arc::default(),
        }
    }

    /// Runs one step on the first or the second stream, and compares.
    pub fn step(&mut self, second: bool, op: Op) {
        let index = usize::from(second);
        if matches!(op, Op::Transfer) {
            self.transfer();
        } else {
            self.write(index, op);
            self.read(index, op);
        }
        // `len` remembers how far it has counted, so it must not be asked after each step.
        self.steps += 1;
        let counting = self.steps % 3 == 0;
        self.pairs.iter_mut().for_each(|pair| pair.check(counting));
    }

    /// Drops what is left; every chunk must go.
    pub fn finish(self) {
        let alive = self.alive.clone();
        drop(self);
        assert_eq!(alive.load(Relaxed), 0, "chunks leaked");
    }

    fn fresh(&mut self, count: usize) -> Vec<u8> {
        let start = self.next;
        self.next = self.next.wrapping_add(count as u8).wrapping_add(1);
        (0..count).map(|i| start.wrapping_add(i as u8)).collect()
    }

    fn write(&mut self, index: usize, op: Op) {
        let bytes = match op {
            Op::Push(len) | Op::PushFrom(len, _) | Op::Open(len, _) => self.fresh(len),
            Op::Append(len) | Op::Commit(len) => self.fresh(len),
            _ => Vec::new(),
        };
        let alive = self.alive.clone();
        let Pair {
            writer: slot,
            reader,
            model,
        } = &mut self.pairs[index];
        let Some(writer) = slot.as_mut() else { return };
        let page = |room: usize| Page::new(&bytes, bytes.len() + room, Some(&alive));
        let (result, from, room) = match op {
            Op::Push(_) => (writer.push(page(0)), 0, None),
            Op::PushFrom(len, begin) => {
                let begin = begin.min(len);
                (writer.push_from(page(0), begin), begin, None)
            }
            Op::Open(_, room) => (writer.open(page(room)), 0, Some(room)),
            Op::Append(_) => {
                let count = writer.append(&bytes);
                if reader.is_some() {
                    assert_eq!(count, model.room().min(bytes.len()));
                }
                if count != 0 {
                    model.append(&bytes[..count]);
                }
                return;
            }
            Op::Commit(_) => {
                let spare = writer.spare();
                let count = spare.len().min(bytes.len());
                for (to, from) in spare.iter_mut().zip(&bytes) {
                    to.write(*from);
                }
                // SAFETY: that many were written.
                unsafe { writer.commit(count) };
                if count != 0 {
                    model.append(&bytes[..count]);
                }
                return;
            }
            Op::Seal => {
                writer.seal();
                return model.seal();
            }
            Op::Close | Op::Abort => {
                match slot.take() {
                    Some(writer) if matches!(op, Op::Abort) => writer.abort(),
                    writer => drop(writer),
                }
                model.ended = Some(matches!(op, Op::Abort));
                return model.seal();
            }
            _ => return,
        };
        let carried = bytes[from..].to_vec();
        match result {
            Ok(()) => {
                assert!(model.takes(carried.len()));
                // An empty chunk is dropped, and the tail stays open.
                if !carried.is_empty() || room.is_some() {
                    model.add(carried, room);
                }
            }
            Err(PushError::Full(_)) => assert!(reader.is_some() && !model.takes(carried.len())),
            Err(PushError::ReaderGone(_)) => assert!(reader.is_none()),
        }
    }

    fn read(&mut self, index: usize, op: Op) {
        let Pair {
            reader: slot,
            model,
            ..
        } = &mut self.pairs[index];
        let Some(reader) = slot.as_mut() else { return };
        let bytes = model.bytes();
        match op {
            Op::Read(len) => {
                let mut buf = vec![0xAA; len];
                let count = reader.read(&mut buf);
                assert_eq!(count, len.min(bytes.len()));
                assert_eq!(buf[..count], bytes[..count]);
                model.consume(count);
            }
            Op::Peek(offset, len) => {
                let mut buf = vec![0xAA; len];
                let count = reader.peek(offset, &mut buf);
                let start = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                assert_eq!(count, len.min(bytes.len() - start));
                assert_eq!(buf[..count], bytes[start..start + count]);
            }
            Op::Consume(count) => {
                let there = count.min(bytes.len());
                assert_eq!(reader.consume(count), there);
                model.consume(there);
            }
            Op::Pop | Op::PopAndPush => {
                let expected = model.front_is_sealed().then(|| model.chunks[0].clone());
                let popped = reader.pop();
                assert_eq!(
                    popped.as_ref().map(|popped| popped.bytes()),
                    expected.as_deref()
                );
                if let Some(popped) = popped {
                    model.consume(popped.bytes().len());
                    if matches!(op, Op::PopAndPush) {
                        self.push_on(index, popped);
                    }
                }
            }
            Op::DropReader => {
                *slot = None;
                // The open tail is still the writer's.
                model.chunks.clear();
                model.chunks.extend(model.open.map(|_| Vec::new()));
            }
            _ => {}
        }
    }

    /// To the end of the same stream.
    fn push_on(&mut self, index: usize, popped: efio_chunks::Popped<Page>) {
        let Pair { writer, model, .. } = &mut self.pairs[index];
        let bytes = popped.bytes().to_vec();
        let Some(writer) = writer else { return };
        match writer.push_popped(popped) {
            Ok(()) => model.add(bytes, None),
            Err(error) => {
                assert!(!model.takes(bytes.len()));
                assert_eq!(error.into_inner().bytes(), bytes, "given back as it was");
            }
        }
    }

    fn transfer(&mut self) {
        let [first, second] = &mut self.pairs;
        let (Some(reader), Some(writer)) = (&mut first.reader, &mut second.writer) else {
            return;
        };
        let moved = reader.transfer(writer);
        let mut expected = 0;
        while second.reader.is_some()
            && first.model.front_is_sealed()
            && second.model.takes(first.model.chunks[0].len())
        {
            let bytes = first.model.chunks[0].clone();
            first.model.consume(bytes.len());
            expected += bytes.len();
            second.model.add(bytes, None);
        }
        assert_eq!(moved, expected);
    }
}
