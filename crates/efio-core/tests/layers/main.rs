//! Layers hold: no files import each other in a circle, and the imports of efio-core go down the
//! list in docs/ARCHITECTURE.md.
//!
//! A file imports another one when it names what the other one defines, in a `use` or in a path in
//! its code. A re-export is followed to the definition. What is no import:
//!
//! - `mod`, and the re-export of a module below;
//! - a method that is called on a value;
//! - what tests use (`#[cfg(test)]`), and links in documentation.
//!
//! A module and those below it are one thing: it may use them and they it, as Rust lets them see
//! what is private to it. Beside each other they may not be in a circle, each with all that is
//! below it. The root of a crate gets no such favour: nothing below `main.rs` imports from it.

mod imports;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::{env, fs};

use imports::{Import, Place, imports};

/// Imports that are in a circle all the same: in the crate of this root, from the module and those
/// below it. Each is there for a reason, and an entry that is not needed any more is a fault.
const KNOWN: &[(&str, &str, &str)] = &[
    // The handlers of a fork reset what the modules above hold. They are registered when the
    // program is loaded, so these cannot register what is to be reset.
    ("efio-capi", "forked", "library"),
    ("efio-capi", "forked", "callback"),
    // A replaced function must not be that of the parent of a fork.
    ("efio-capi", "callback", "library"),
    // What a system lacks it takes from the module that is the same on all systems, which calls it.
    ("efio-core", "sys::linux", "sys::beneath"),
    ("efio-core", "sys::linux", "sys::fork"),
    ("efio-core", "sys::linux", "sys::memory"),
    ("efio-core", "sys::portable", "sys::beneath"),
    ("efio-core", "sys::portable", "sys::fork"),
];

/// Whether it is the import `known` in the library of its crate.
fn is_known(import: &Import, &(package, from, to): &(&str, &str, &str)) -> bool {
    let is_in = |place: &Place, module: &str| {
        let path = place.module.join("::") + "::";
        path.starts_with(&format!("{module}::"))
    };
    import
        .from
        .file
        .starts_with(&format!("crates/{package}/src/"))
        && is_in(&import.from, from)
        && is_in(&import.to, to)
}

/// The circles in a crate, one through each module that is in any.
fn circles(imports: &[Import]) -> BTreeSet<String> {
    // The modules that are beside each other below the key; the root is beside its children.
    let mut levels: BTreeMap<&[String], Graph> = BTreeMap::new();
    for import in imports {
        let (from, to) = (&*import.from.module, &*import.to.module);
        let common = from.iter().zip(to).take_while(|(a, b)| a == b).count();
        let is_one_thing = common == from.len() || common == to.len();
        if common > 0 && is_one_thing {
            continue;
        }
        let graph = levels.entry(&from[..common]).or_default();
        let [from, to] = [from, to].map(|module| module.get(common).map_or("", |name| name));
        graph.entry(from).or_default().entry(to).or_insert(import);
    }
    let circles = levels.values().flat_map(|graph| {
        let through = graph.keys().filter_map(|start| circle(graph, start));
        through.map(|circle| format!("a circle:{circle}"))
    });
    circles.collect()
}

/// What is imported of what, each time by one import.
type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Import>>;

/// The shortest circle through a module; the same from wherever in it one starts.
fn circle(graph: &Graph<'_>, start: &str) -> Option<String> {
    let mut came_by: HashMap<&str, (&str, &Import)> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for (&next, &import) in graph.get(at).into_iter().flatten() {
            came_by.entry(next).or_insert_with(|| {
                queue.push_back(next);
                (at, import)
            });
        }
    }
    let mut circle = Vec::new();
    let mut at = start;
    while circle.is_empty() || at != start {
        let (before, import) = came_by.get(at)?;
        circle.push(format!("\n  {import}"));
        at = before;
    }
    circle.reverse();
    let first = (0..circle.len()).min_by_key(|&at| &circle[at])?;
    circle.rotate_left(first);
    Some(circle.concat())
}

/// The layers in the text of ARCHITECTURE, from the top down. A line has names, two or more spaces,
/// and what they are; a name ends with `/` or `.rs`.
fn layers(architecture: &str) -> Vec<Vec<&str>> {
    let (_, section) = architecture
        .split_once("\n## efio-core, from the caller down\n")
        .expect("the section about efio-core");
    let block = section.split("```").nth(1).expect("a list");
    block
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .map(|line| {
            let (names, _) = line.split_once("  ").unwrap_or((line, ""));
            names
                .split(' ')
                .filter_map(|name| name.strip_suffix('/').or(name.strip_suffix(".rs")))
                .collect::<Vec<_>>()
        })
        .filter(|layer| !layer.is_empty())
        .collect()
}

/// The imports that go up, and the modules that are in no layer.
fn goes_up(imports: &[Import], layers: &[Vec<&str>]) -> BTreeSet<String> {
    let layer_of = |name: &str| layers.iter().position(|layer| layer.contains(&name));
    let mut wrong = BTreeSet::new();
    for import in imports {
        let (Some(from), Some(to)) = (import.from.module.first(), import.to.module.first()) else {
            continue;
        };
        for name in [from, to] {
            if layer_of(name).is_none() {
                wrong.insert(format!("in no layer of docs/ARCHITECTURE.md: {name}"));
            }
        }
        if layer_of(to).is_some_and(|to| layer_of(from).is_some_and(|from| to < from)) {
            wrong.insert(format!("goes up, {from} to {to}: {import}"));
        }
    }
    wrong
}

/// The root files of the libraries, programs, tests and examples of a package.
fn roots(package: &Path) -> Vec<PathBuf> {
    let mut all = vec![package.join("src/lib.rs"), package.join("src/main.rs")];
    for dir in ["src/bin", "examples", "tests", "benches"] {
        for entry in fs::read_dir(package.join(dir)).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                all.push(path);
            } else {
                all.push(path.join("main.rs"));
            }
        }
    }
    all.retain(|path| path.exists());
    all.sort();
    all
}

#[test]
fn imports_go_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !root.join("loom-tests").exists() {
        eprintln!("SKIPPED: the sources of the whole workspace are not here");
        return;
    }
    let mut packages: Vec<_> = fs::read_dir(root.join("crates"))
        .expect("the crates")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    packages.extend(["benches", "loom-tests", "shuttle-tests"].map(|name| root.join(name)));
    let read = |path: &str| fs::read_to_string(root.join(path)).ok();
    let architecture = read("docs/ARCHITECTURE.md").expect("docs/ARCHITECTURE.md");
    let mut wrong = BTreeSet::new();
    let (mut files, mut needed) = (HashSet::new(), HashSet::new());
    for target in packages.iter().flat_map(|package| roots(package)) {
        let target = target.strip_prefix(&root).expect("within the root");
        let target = target.to_str().expect("a name in UTF-8");
        let mut imports = imports(target, &read);
        imports.retain(|import| {
            let known = KNOWN.iter().find(|known| is_known(import, known));
            if let Some(known) = known {
                needed.insert(known);
            }
            known.is_none()
        });
        wrong.extend(circles(&imports));
        if target == "crates/efio-core/src/lib.rs" {
            wrong.extend(goes_up(&imports, &layers(&architecture)));
        }
        files.extend(imports.into_iter().map(|import| import.from.file));
    }
    for known in KNOWN.iter().filter(|known| !needed.contains(known)) {
        wrong.insert(format!("no such import any more: {known:?}"));
    }
    assert!(
        files.len() > 200,
        "not all files were read: {}",
        files.len()
    );
    let list: Vec<_> = wrong.iter().map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{}\n{} faults",
        list.join("\n"),
        wrong.len()
    );
}

/// The imports of a crate of few files.
fn of(files: &[(&str, &str)]) -> Vec<Import> {
    imports(files[0].0, &|path| {
        let file = files.iter().find(|(name, _)| *name == path)?;
        Some(file.1.to_owned())
    })
}

fn pairs(files: &[(&str, &str)]) -> BTreeSet<String> {
    let short = |file: &str| file.trim_end_matches(".rs").to_owned();
    of(files)
        .iter()
        .map(|import| format!("{} > {}", short(&import.from.file), short(&import.to.file)))
        .collect()
}

#[test]
fn a_use_and_a_path_are_imports() {
    let found = pairs(&[
        ("lib.rs", "mod a; mod b; mod c; mod d; mod e; mod f;"),
        (
            "a.rs",
            "use crate::b::{self, B as Other}; fn a() { b::b(); }",
        ),
        (
            "b.rs",
            "pub struct B; pub fn b() { crate::c::c(super::d::D::new(3)) }",
        ),
        ("c.rs", "pub fn c() { assert_eq!(crate::e::E, 1); }"),
        (
            "d.rs",
            "use std::fmt; pub struct D(crate::f::F<crate::e::E>);",
        ),
        ("e.rs", "pub struct E;"),
        (
            "f.rs",
            "/// See [crate::a].\npub struct F; #[cfg(test)] mod tests { use crate::a::a; }",
        ),
    ]);
    let expected = ["a > b", "b > c", "b > d", "c > e", "d > e", "d > f"];
    assert_eq!(found, expected.map(str::to_owned).into());
}

#[test]
fn a_re_export_is_followed() {
    let found = pairs(&[
        ("lib.rs", "mod a; mod p; pub use p::Child;"),
        (
            "a.rs",
            "use crate::p::{Child, Parent}; use crate::Child as Again;",
        ),
        (
            "p/mod.rs",
            "mod child; pub use child::*; pub struct Parent;",
        ),
        ("p/child.rs", "use super::Parent; pub struct Child;"),
    ]);
    let expected = ["a > p/child", "a > p/mod", "p/child > p/mod"];
    assert_eq!(found, expected.map(str::to_owned).into());
}

#[test]
fn a_module_and_its_children_are_one() {
    let root = ("main.rs", "mod p; mod q; struct Root;");
    let parent = ("p.rs", "mod a; mod b; use a::A; pub struct P;");
    let a = ("p/a.rs", "use super::P; pub struct A;");
    let b = ("p/b.rs", "use super::a::A; pub struct B;");
    let q = ("q.rs", "use crate::p::P; pub struct Q;");
    let count = |files: &[(&str, &str)]| circles(&of(files)).len();
    assert_eq!(count(&[root, parent, a, b, q]), 0);
    let beside = ("p/a.rs", "use super::b::B; pub struct A;");
    assert_eq!(
        count(&[root, parent, beside, b, q]),
        1,
        "children of one parent"
    );
    let cousin = ("p/b.rs", "use crate::q::Q; pub struct B;");
    assert_eq!(
        count(&[root, parent, a, cousin, q]),
        1,
        "a child and a user of its parent"
    );
    let child = ("p/b.rs", "use crate::Root; pub struct B;");
    assert_eq!(count(&[root, parent, a, child, q]), 0, "the root uses none");
    let user = ("main.rs", "mod p; mod q; struct Root(q::Q);");
    assert_eq!(count(&[user, parent, a, child, q]), 1, "the root");
}

#[test]
fn what_a_macro_declares_is_read() {
    let found = pairs(&[
        (
            "lib.rs",
            "cfg_if! { if #[cfg(unix)] { mod a; pub use a as p; } else { mod b; pub use b as p; } }
             mod c; mod d { pub mod e; } thread_local! { static T: u8 = const { d::e::E }; }",
        ),
        ("a.rs", "pub fn f() {}"),
        ("b.rs", "pub fn f() {}"),
        ("c.rs", "fn c() { crate::p::f(); crate::T.with(|_| ()) }"),
        ("d/e.rs", "pub const E: u8 = 1;"),
    ]);
    let expected = ["c > a", "c > b", "c > lib", "lib > d/e"];
    assert_eq!(found, expected.map(str::to_owned).into());
}

#[test]
fn a_circle_is_found_once() {
    let found = of(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "use crate::b::B;"),
        ("b.rs", "use crate::c::C;"),
        ("c.rs", "use crate::a::A; use crate::d::D;"),
        ("d.rs", "pub struct D;"),
    ]);
    assert_eq!(circles(&found).len(), 1, "{:?}", circles(&found));
    assert!(
        circles(
            &found
                .into_iter()
                .filter(|import| import.from.file != "b.rs")
                .collect::<Vec<_>>()
        )
        .is_empty()
    );
}

#[test]
fn an_import_that_goes_up_is_found() {
    let text = "# A\n\n## efio-core, from the caller down\n\n```text\nsrc/\n  a/ b.rs  the top of it\n  \
        c.rs     see b.rs\n           and more\n```\n";
    let layers = layers(text);
    assert_eq!(layers, [vec!["a", "b"], vec!["c"]]);
    let found = of(&[
        ("src/lib.rs", "mod a; mod b; mod c; mod d;"),
        ("src/a/mod.rs", "mod a; use crate::{b::B, c::C};"),
        ("src/a/a.rs", "use crate::d::D;"),
        ("src/b.rs", "pub struct B;"),
        ("src/c.rs", "use crate::b::B; pub struct C;"),
        ("src/d.rs", "pub struct D;"),
    ]);
    let expected = [
        "goes up, c to b: src/c.rs:1: crate::b::B of src/b.rs",
        "in no layer of docs/ARCHITECTURE.md: d",
    ];
    assert_eq!(goes_up(&found, &layers), expected.map(str::to_owned).into());
}
