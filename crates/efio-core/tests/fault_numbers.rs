//! The table of faults in `docs/TESTING.md` is whole, and what it names is there.

use std::path::Path;

/// Every number from 1 to 59 but 20, which was never given.
#[test]
fn every_fault_is_caused_by_a_test_that_names_it() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(package.join("../../docs/TESTING.md")).unwrap();
    let rows: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| F"))
        .collect();
    let numbers: Vec<_> = rows.iter().map(|row| cell(row, 1)).collect();
    let expected = (1..=59).filter(|number| *number != 20);
    assert_eq!(
        numbers,
        expected
            .map(|number| format!("F{number}"))
            .collect::<Vec<_>>()
    );
    for row in rows {
        let fault = cell(row, 1);
        let mut quoted = row.split('`').skip(1).step_by(2);
        let file = quoted.next().expect("a file is named");
        if file.starts_with("efio-") {
            assert!(package.join("..").join(file).exists(), "{row}");
            continue;
        }
        let source = std::fs::read_to_string(package.join(file)).expect(file);
        let mut words = source.split(|c: char| !c.is_ascii_alphanumeric());
        assert!(
            words.any(|word| word == fault),
            "{file} does not name {fault}"
        );
        for test in quoted {
            assert!(source.contains(&format!("fn {test}(")), "{row}");
        }
    }
}

fn cell(row: &str, number: usize) -> &str {
    row.split('|').nth(number).unwrap().trim()
}
