//! One suite for every combination: {io_uring, pool} × {Direct, Uncached, Cached, Auto} on each
//! file system that is available. The expectation is written once: it is the same everywhere.

#[path = "../common/mod.rs"]
mod common;

mod appends;
mod follow;
mod huge;
mod many;
mod mixed;
mod positional;
mod sizes;
mod sparse;
mod stream;
mod threads;
mod truncation;

use common::fixtures::{each, each_on};

#[test]
fn files_of_every_size_come_back() {
    each(sizes::files_of_every_size_come_back);
}

#[test]
fn writes_of_every_size_follow_each_other() {
    each(sizes::writes_of_every_size_follow_each_other);
}

#[test]
fn reads_of_every_size_follow_each_other() {
    each(sizes::reads_of_every_size_follow_each_other);
}

#[test]
fn a_stream_is_longer_than_the_memory() {
    each(stream::a_stream_is_longer_than_the_memory);
}

#[test]
fn reads_and_writes_mix_through_one_descriptor() {
    each(mixed::reads_and_writes_mix_through_one_descriptor);
}

#[test]
fn positional_calls_see_what_was_asked_before() {
    each(positional::positional_calls_see_what_was_asked_before);
}

#[test]
fn threads_share_a_descriptor() {
    each(threads::threads_share_a_descriptor);
}

#[test]
fn holes_are_zeros() {
    each(sparse::holes_are_zeros);
}

#[test]
fn a_file_is_longer_than_four_gib() {
    each(huge::a_file_is_longer_than_four_gib);
}

#[test]
fn two_processes_append() {
    appends::run_if_child();
    each(appends::two_processes_append);
}

#[test]
fn a_reader_follows_a_growing_file() {
    each(follow::a_reader_follows_a_growing_file);
}

#[test]
fn a_file_is_cut_under_its_reader() {
    each(truncation::a_file_is_cut_under_its_reader);
}

#[test]
fn many_files_are_open_at_once() {
    each_on(common::fixtures::disk(), many::many_files_are_open_at_once);
}
