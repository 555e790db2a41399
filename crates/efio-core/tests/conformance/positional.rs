//! Reads and writes at offsets, many in flight, in any order with cuts of the file and with the
//! stream.

use crate::common::fixtures::{Fixture, both};
use crate::common::{closed, event, pattern, write_all};
use efio_core::{Buffer, Completed, Engine, EventKind, File};
use std::collections::HashMap;
use std::io::ErrorKind;

/// In flight at a time.
const DEPTH: usize = 16;
const ROUNDS: u64 = 250;
/// Where ops begin.
const SPAN: usize = 500_000;
/// How long the file is. No op ends after it: which of two concurrent ops extends a file first is
/// unspecified.
const LEN: usize = 700_001;

/// The expected result of an op, known when it is submitted: each sees what was submitted before
/// it.
enum Expected {
    Written(usize),
    Read(Vec<u8>),
}

struct Player<'a> {
    engine: &'a Engine,
    file: File,
    model: Vec<u8>,
    flying: HashMap<u64, Expected>,
}

pub fn positional_calls_see_what_was_asked_before(fixture: &Fixture) {
    let engine = fixture.engine();
    let path = fixture.join("file");
    let mut player = Player {
        engine: &engine,
        file: engine.open(&path, &both()).unwrap(),
        model: vec![0; LEN],
        flying: HashMap::new(),
    };
    player.file.set_len(LEN as u64).unwrap();
    let mut random = fastrand::Rng::with_seed(11);
    for token in 0..ROUNDS {
        let at = random.usize(..SPAN) & if random.bool() { !4095 } else { !0 };
        let len = match random.u8(..4) {
            0 => 4096,
            1 => random.usize(1..600),
            2 => random.usize(1..70_000),
            _ => 1 << random.usize(12..18),
        };
        match random.u8(..20) {
            0 => player.cut(at),
            1..4 => player.stream(at, &pattern(len)),
            4..12 => player.write_at(token, at, &pattern(len)),
            _ => player.read_at(token, at, len),
        }
        while player.flying.len() >= DEPTH {
            player.land_one();
        }
    }
    player.read_at(ROUNDS, LEN - 10, 4096);
    player.read_at(ROUNDS + 1, LEN, 4096);
    while !player.flying.is_empty() {
        player.land_one();
    }
    let Player { file, model, .. } = player;
    let fd = file.fd();
    file.close_sync().unwrap();
    assert_eq!(closed(&engine, fd), Ok(()));
    assert!(std::fs::read(&path).unwrap() == model);
}

impl Player<'_> {
    /// Cuts the file and makes it as long as before, with zeros.
    fn cut(&mut self, len: usize) {
        self.file.set_len(len as u64).unwrap();
        self.file.set_len(LEN as u64).unwrap();
        self.model[len..].fill(0);
    }

    fn stream(&mut self, at: usize, bytes: &[u8]) {
        // Waiting for room drops other events, so nothing may be in flight that is waited for
        // later.
        while !self.flying.is_empty() {
            self.land_one();
        }
        self.file.set_position(at as u64).unwrap();
        write_all(self.engine, &self.file, bytes).unwrap();
        self.put(at, bytes);
    }

    fn write_at(&mut self, token: u64, at: usize, bytes: &[u8]) {
        let mut buffer = self.buffer(bytes.len());
        buffer.copy_from_slice(bytes);
        while let Err(refused) = self.file.write_at(at as u64, buffer, token) {
            assert_eq!(refused.error.kind(), ErrorKind::WouldBlock);
            buffer = refused.buffer;
            self.land_one();
        }
        self.put(at, bytes);
        self.flying.insert(token, Expected::Written(bytes.len()));
    }

    fn read_at(&mut self, token: u64, at: usize, len: usize) {
        let mut buffer = self.buffer(len);
        while let Err(refused) = self.file.read_at(at as u64, buffer, token) {
            assert_eq!(refused.error.kind(), ErrorKind::WouldBlock);
            buffer = refused.buffer;
            self.land_one();
        }
        let rest = self.model.get(at..).unwrap_or_default();
        let there = rest[..len.min(rest.len())].to_vec();
        self.flying.insert(token, Expected::Read(there));
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        self.model[at..end].copy_from_slice(bytes);
    }

    /// Allocates a buffer, for which an op in flight may have to complete first.
    fn buffer(&mut self, len: usize) -> Buffer {
        loop {
            match self.engine.buffer(len) {
                Ok(buffer) => return buffer,
                Err(error) if error.kind() == ErrorKind::WouldBlock => match self.flying.len() {
                    0 => std::thread::yield_now(),
                    _ => self.land_one(),
                },
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn land_one(&mut self) {
        let event = event(self.engine, |event| {
            matches!(event.kind, EventKind::Completed(_))
        });
        let EventKind::Completed(Completed {
            token,
            result,
            buffer,
            ..
        }) = event.kind
        else {
            unreachable!()
        };
        match self
            .flying
            .remove(&token)
            .expect("submitted, and completed once")
        {
            Expected::Written(len) => assert_eq!(result, Ok(len), "write {token}"),
            Expected::Read(bytes) => {
                assert_eq!(result, Ok(bytes.len()), "read {token}");
                assert!(buffer[..bytes.len()] == bytes, "read {token}: other bytes");
            }
        }
    }
}
