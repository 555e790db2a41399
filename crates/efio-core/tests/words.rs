//! The words of the field: crates, docs and benches are free of the private words that efio once had
//! for them. A reader who knows the field finds code by the terms that the field has.
//!
//! A word counts wherever it stands: in a comment, in a string, as a part of an identifier.

use std::fs;
use std::path::{Path, PathBuf};

/// The old words, each with where it is looked for (everywhere if that is empty).
const OLD: &[(&str, &str)] = &[
    ("announce announced announces announcing", ""),
    ("asker askers", ""),
    ("attention", ""),
    ("beds", ""),
    ("birthplace", ""),
    ("clerk clerks", ""),
    ("crew", ""),
    ("custody", ""),
    ("desk", ""),
    ("dispossess dispossessed", ""),
    ("doze dozes dozing", ""),
    ("hear hears heard", ""),
    ("judge judged judges", ""),
    ("landed", ""),
    ("letter letters", ""),
    ("manner manners", ""),
    ("news", ""),
    ("nimble", ""),
    ("noise", ""),
    ("owe owed owes", ""),
    ("patience patient patiently", ""),
    ("poison poisoned poisons", "crates/efio-core"),
    ("pump pumped pumps", ""),
    ("relieve relieved relieves", ""),
    ("rescue rescued rescues", ""),
    ("rouse roused rouses", ""),
    ("route routes", ""),
    ("salvage salvaged", ""),
    ("shelf", ""),
    ("starved", "crates/efio-core"),
    ("taste", ""),
    ("tell tells told", ""),
    ("verdict verdicts", "crates/efio-core/src"),
    ("withdraw withdrawal withdrawn withdraws", ""),
    ("piece pieces", "crates/efio-queue/src"),
    ("claim claims claimed", "crates/efio-queue/src"),
    ("provider providers", "crates/efio-queue/src"),
    ("rare", "crates/efio-core/src/fd"),
    ("mail", "crates/efio-core/src"),
    ("ways", "crates/efio-core/src"),
    ("gate pass border", "crates/efio-capi/src"),
];

/// Plain uses of such words.
const PLAIN: &[&str] = &[
    "rustc-env",
    "RUSTFLAGS",
    "PoisonError",
    "letter-spacing",
    "Builder::callback_hears",
];

/// Files that are not read: this one, what a tool writes, and names that stand for themselves.
fn is_skipped(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let is_text = ["rs", "md", "toml", "c", "h", "patch", "html"].contains(&&*extension);
    !is_text || name == "words.rs" || path.components().any(|part| part.as_os_str() == "target")
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a directory of the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if !is_skipped(&path) {
            found.push(path);
        }
    }
}

/// The words of a line in lower case, those in the parts of identifiers too.
fn words(line: &str) -> impl Iterator<Item = String> + '_ {
    let is_upper = |c: Option<char>| c.is_some_and(char::is_uppercase);
    let mut all: Vec<String> = vec![String::new()];
    let mut before = None;
    for c in line.chars() {
        let starts = !c.is_alphabetic() || (c.is_uppercase() && !is_upper(before));
        if starts {
            all.push(String::new());
        }
        if c.is_alphabetic() {
            all.last_mut()
                .expect("never empty")
                .extend(c.to_lowercase());
        }
        before = Some(c);
    }
    all.into_iter().filter(|word| !word.is_empty())
}

#[test]
fn no_private_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !root.join("loom-tests").exists() {
        eprintln!("SKIPPED: the sources of the whole workspace are not here");
        return;
    }
    let mut all = Vec::new();
    for dir in [
        "crates",
        "docs",
        "benches",
        "loom-tests",
        "shuttle-tests",
        "fuzz",
    ] {
        files(&root.join(dir), &mut all);
    }
    for file in ["README.md", "CONTRIBUTING.md", "SECURITY.md"] {
        all.push(root.join(file));
    }
    let only = std::env::var("EFIO_WORDS_IN").unwrap_or_default();
    let mut found = Vec::new();
    for path in all {
        let name = path
            .strip_prefix(&root)
            .expect("within the root")
            .to_string_lossy();
        if !name.contains(&only) {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a text");
        for (number, line) in (1..).zip(text.lines()) {
            let mut line = line.to_owned();
            for plain in PLAIN {
                line = line.replace(plain, "");
            }
            for word in words(&line) {
                let is_old = |(old, place): &&(&str, &str)| {
                    name.starts_with(place) && old.split(' ').any(|old| old == word)
                };
                if OLD.iter().find(is_old).is_some() {
                    found.push(format!("{name}:{number}: {word}: {}", line.trim()));
                }
            }
        }
    }
    let (count, list) = (found.len(), found.join("\n"));
    assert!(
        found.is_empty(),
        "{list}\n{count} old words (EFIO_WORDS_IN=PATH looks at a part)"
    );
}

#[test]
fn words_are_found_in_identifiers() {
    let found: Vec<_> = words("let isPatient = DOZE_now(HTTPDesk2news);").collect();
    let expected = ["let", "is", "patient", "doze", "now", "httpdesk", "news"];
    assert_eq!(found, expected);
}
