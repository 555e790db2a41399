//! The examples of event loops work.

use std::process::Command;

#[test]
fn every_loop_counts_the_lines_of_a_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/loops.rs");
    let lines = std::fs::read_to_string(path).unwrap().lines().count();
    for example in ["loop_mio", "loop_polling", "loop_epoll"] {
        let output = Command::new(env!("CARGO"))
            .args([
                "run",
                "-q",
                "-p",
                "efio-core",
                "--example",
                example,
                "--",
                path,
            ])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, format!("{lines} lines\n"), "{example}: {complained}");
    }
}
