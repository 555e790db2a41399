//! The header is the one that cbindgen makes of the code.

use std::path::Path;

#[test]
fn the_header_is_that_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let mut made = Vec::new();
    cbindgen::generate_with_config(root, config)
        .expect("cbindgen reads the code")
        .write(&mut made);
    let made = String::from_utf8(made).unwrap();
    let header = root.join("include/efio.h");
    if std::env::var_os("EFIO_BLESS").is_some() {
        std::fs::write(&header, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&header).unwrap();
    let differs = made
        .lines()
        .zip(kept.lines())
        .find(|(made, kept)| made != kept);
    assert!(
        made == kept,
        "include/efio.h differs from the code at {differs:?}; EFIO_BLESS=1 makes it anew"
    );
}
