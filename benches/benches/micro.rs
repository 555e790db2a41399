//! Single operations on one thread, under criterion: what each primitive costs when nobody is in
//! the way. The comparisons between threads and with peers are in the other benches, whose
//! candidates take turns. With `EFIO_PRIMITIVES` set the medians go to that record as well.

#![allow(
    missing_docs,
    reason = "criterion's macros make undocumented functions"
)]

use criterion::{Criterion, Throughput, criterion_group};
use efio_benches::primitives::Record;
use efio_chunks::byte_stream;
use efio_queue::{MsQueue, SegQueue};
use efio_sync::{CasCell, Doorbell, Parker, RwSpinLock, SpinLock};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

fn locks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("uncontended");
    let spin = SpinLock::new(0u64);
    group.bench_function("SpinLock", |bench| bench.iter(|| *spin.lock() += 1));
    let cas = CasCell::new(0u64);
    let tag = NonZeroU32::MIN;
    group.bench_function("CasCell", |bench| bench.iter(|| *cas.acquire(tag) += 1));
    let rw = RwSpinLock::new(0u64);
    group.bench_function("RwSpinLock read", |bench| {
        bench.iter(|| black_box(*rw.read()))
    });
    group.bench_function("RwSpinLock write", |bench| bench.iter(|| *rw.write() += 1));
    let bell = Doorbell::new(Parker::new());
    group.bench_function("Doorbell ring, awake", |bench| bench.iter(|| bell.notify()));
    group.finish();
}

fn queues(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("push and pop");
    group.throughput(Throughput::Elements(1));
    let seg = SegQueue::new();
    group.bench_function("SegQueue", |bench| {
        bench.iter(|| (seg.push(black_box(1u64)).is_ok(), seg.pop()));
    });
    let ms = MsQueue::new();
    group.bench_function("MsQueue", |bench| {
        bench.iter(|| (ms.push(black_box(1u64)).is_ok(), ms.pop()));
    });
    let empty = SegQueue::<u64>::new();
    group.bench_function("SegQueue, pop of nothing", |bench| {
        bench.iter(|| empty.pop())
    });
    group.finish();
}

fn streams(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append and read");
    for len in [64usize, 4096] {
        group.throughput(Throughput::Bytes(len as u64));
        let (mut writer, mut reader) = byte_stream();
        let (bytes, mut buffer) = (vec![1; len], vec![0; len]);
        group.bench_function(format!("{len} B"), |bench| {
            bench.iter(|| (writer.append(black_box(&bytes)), reader.read(&mut buffer)));
        });
    }
    group.finish();
}

/// Where criterion keeps what it measured.
fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/criterion/micro")
}

criterion_group! {
    name = benches;
    config = Criterion::default().output_directory(&home());
    targets = locks, queues, streams
}

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
    if let Some(path) = std::env::var_os("EFIO_PRIMITIVES") {
        Record::put_criterion(path.as_ref(), &home()).expect("criterion's estimates");
    }
}
