//! Any sequence of calls with any arguments: each returns a result or an errno, none panics, and
//! once every file is closed no memory and no op is left.

#![no_main]

use arbitrary::Arbitrary;
use efio_core::sim::{Config, SimOptions, Simulation};
use efio_core::{Buffer, Fd, File, IoMode, OpenOptions};
use libfuzzer_sys::fuzz_target;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

#[derive(Arbitrary, Debug)]
enum Call {
    Open {
        path: Vec<u8>,
        options: u8,
        mode: u8,
    },
    Write {
        file: u8,
        len: u16,
    },
    Read {
        file: u8,
        len: u16,
    },
    SetPosition {
        file: u8,
        to: u64,
    },
    Positional {
        file: u8,
        write: bool,
        offset: u64,
        len: u16,
    },
    SetLen {
        file: u8,
        len: u64,
    },
    TakeUnwritten {
        file: u8,
    },
    Readiness {
        file: u8,
    },
    Sync {
        file: u8,
    },
    Close {
        file: u8,
        durable: bool,
    },
    Stale {
        fd: u64,
        call: u8,
    },
    Turn {
        millis: u16,
    },
}

#[derive(Arbitrary, Debug)]
struct Input {
    seed: u64,
    short: u16,
    transient: u16,
    errors: u8,
    calls: Vec<Call>,
}

fuzz_target!(|input: Input| {
    let options = SimOptions {
        short: u32::from(input.short % 500),
        transient: u32::from(input.transient % 300),
        read_errors: u32::from(input.errors % 50),
        write_errors: u32::from(input.errors / 50),
        ..SimOptions::default()
    };
    let config = Config {
        memory_budget: 4 << 20,
        max_files: 4,
        ..Config::default()
    };
    let mut simulation = Simulation::new(config, input.seed, options).expect("a valid setting");
    let mut files: Vec<File> = Vec::new();
    for call in input.calls {
        step(&mut simulation, &mut files, call);
        simulation.engine().events().drain().for_each(drop);
    }
    files.clear();
    simulation.stop_faults();
    for _ in 0..400 {
        simulation.turn(Duration::from_millis(100));
        simulation.engine().events().drain().for_each(drop);
    }
    assert_eq!(simulation.memory_used(), 0, "pages leaked");
    assert_eq!(simulation.at_work(), (0, 0), "ops or kernel files leaked");
});

fn step(simulation: &mut Simulation, files: &mut Vec<File>, call: Call) {
    if let Call::Turn { millis } = call {
        simulation.turn(Duration::from_millis(u64::from(millis)));
        return;
    }
    let engine = simulation.engine();
    let pick = |file: u8| files.get(usize::from(file) % files.len().max(1));
    match call {
        Call::Open {
            path,
            options,
            mode,
        } => {
            let bit = |bit: u8| options >> bit & 1 == 1;
            let modes = [
                IoMode::Auto,
                IoMode::Direct,
                IoMode::Uncached,
                IoMode::Cached,
            ];
            let options = OpenOptions::new()
                .read(bit(0))
                .write(bit(1))
                .append(bit(2))
                .truncate(bit(3))
                .create(bit(4))
                .create_new(bit(5))
                .prefetch(bit(6))
                .io_mode(modes[usize::from(mode % 4)]);
            files.extend(engine.open(OsStr::from_bytes(&path), &options));
        }
        Call::Write { file, len } => {
            if let Some(Ok(n)) = pick(file).map(|file| file.write(&vec![1; usize::from(len)])) {
                assert!(n <= usize::from(len));
            }
        }
        Call::Read { file, len } => {
            if let Some(Ok(n)) = pick(file).map(|file| file.read(&mut vec![0; usize::from(len)])) {
                assert!(n <= usize::from(len));
            }
        }
        Call::SetPosition { file, to } => {
            drop(pick(file).map(|file| file.set_position(to % (1 << 22)).or(file.set_position(to))))
        }
        Call::Positional {
            file,
            write,
            offset,
            len,
        } => {
            let buffer: Option<Buffer> = engine.buffer(usize::from(len)).ok();
            if let Some((file, buffer)) = pick(file).zip(buffer) {
                // Most offsets lie within the size of the file.
                let offset = if offset % 8 == 0 {
                    offset
                } else {
                    offset % (1 << 22)
                };
                let call = if write { File::write_at } else { File::read_at };
                drop(call(file, offset, buffer, offset));
            }
        }
        Call::SetLen { file, len } => {
            drop(pick(file).map(|file| file.set_len(len % (1 << 22)).or(file.set_len(len))))
        }
        Call::TakeUnwritten { file } => drop(pick(file).map(File::take_unwritten)),
        Call::Readiness { file } => drop(pick(file).map(File::readiness)),
        Call::Sync { file } => drop(pick(file).map(File::sync)),
        Call::Close { file, durable } => {
            if !files.is_empty() {
                let file = files.swap_remove(usize::from(file) % files.len());
                drop(if durable {
                    file.close_sync()
                } else {
                    file.close()
                });
            }
        }
        Call::Stale { fd, call } => {
            let fd = Fd::from_bits(fd);
            if files.iter().any(|file| file.fd() == fd) {
                return;
            }
            let result = match call % 5 {
                0 => engine.file(fd).read(&mut [0; 8]).map(drop),
                1 => engine.file(fd).write(b"stale").map(drop),
                2 => engine.file(fd).sync().map(drop),
                3 => engine.file(fd).close(),
                _ => engine.file(fd).progress().map(drop),
            };
            assert!(result.is_err(), "{fd:?} was never returned, or is closed");
        }
        Call::Turn { .. } => {}
    }
}
