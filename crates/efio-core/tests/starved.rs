//! A writer that finds the whole budget in the hands of others is told when it comes back.

use efio_core::sim::Simulation;
use efio_core::{Config, EventKind, OpenOptions, SimOptions};
use std::io::ErrorKind;
use std::time::Duration;

const BUDGET: usize = 4 << 20;

#[test]
fn a_writer_hears_of_memory_that_another_file_gave_back() {
    let config = Config {
        memory_budget: BUDGET,
        write_behind: Some(BUDGET),
        ..Config::default()
    };
    let mut sim = Simulation::new(config, 1, SimOptions::default()).unwrap();
    let options = OpenOptions::new().write(true).create(true).clone();
    let greedy = sim.engine().open("/greedy", &options).unwrap();
    let poor = sim.engine().open("/poor", &options).unwrap();
    let bytes = vec![1; BUDGET];
    let mut accepted = 0;
    while sim.memory_used() < BUDGET {
        accepted += greedy.write(&bytes[accepted..]).unwrap_or(0);
        if sim.memory_used() < BUDGET {
            sim.turn(Duration::ZERO);
        }
    }
    let error = poor.write(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    for _ in 0..1000 {
        sim.turn(Duration::from_millis(10));
    }
    assert_eq!(sim.memory_used(), 0, "the other file is written");
    let told = |kind| {
        let events: Vec<_> = sim.engine().events().drain().collect();
        events
            .iter()
            .any(|event| event.fd == poor.fd() && event.kind == kind)
    };
    assert!(told(EventKind::Writable));
    assert_eq!(poor.write(b"x").unwrap(), 1);
}
