//! Every function of C is one call of `ffi::enter`, which catches panics.

use std::fs;
use std::path::Path;

#[test]
fn every_entry_goes_through_enter() {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api");
    let mut entries = 0;
    for file in fs::read_dir(&api).unwrap() {
        let path = file.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        for part in source.split("#[unsafe(no_mangle)]").skip(1) {
            entries += 1;
            let (signature, body) = part.split_once("{\n").unwrap();
            assert!(signature.contains("extern \"C\" fn"), "{signature}");
            let first = body.trim_start();
            // Or it calls another entry, with an argument more.
            let forwards = first.starts_with("// SAFETY: ")
                && first
                    .lines()
                    .nth(1)
                    .is_some_and(|line| line.trim_start().starts_with("unsafe { ef_"));
            assert!(
                first.starts_with("enter(|| ") || forwards,
                "{}: {signature}",
                path.display()
            );
        }
    }
    assert_eq!(
        untried(&api),
        [""; 0],
        "not in tests/cases/cancelled_calls.c"
    );
    assert!(entries > 40, "{entries} entries: the search found nothing");
}

/// Returns the functions that no cancelled thread calls in a test (F69).
fn untried(api: &Path) -> Vec<String> {
    let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/cancelled_calls.c");
    let case = fs::read_to_string(case).unwrap();
    let sources = fs::read_dir(api).unwrap();
    let sources = sources.map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let names = sources.flat_map(|source| {
        let entries = source.split("extern \"C\" fn ").skip(1);
        let names =
            entries.filter_map(|rest| rest.split_once('(').map(|(name, _)| name.to_owned()));
        names.collect::<Vec<_>>()
    });
    names
        .filter(|name| !case.contains(&format!("{name}(")))
        .collect()
}
