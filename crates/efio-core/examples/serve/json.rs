//! The little JSON that the page needs.

use crate::root::Entry;
use std::fmt::Write;

/// A directory as an array of its entries.
pub fn list(entries: &[Entry]) -> String {
    let mut out = String::from("[");
    for (index, entry) in entries.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "{comma}\n{{\"name\":{},\"path\":{},\"directory\":{},\"size\":{},\"modified\":{}}}",
            string(&String::from_utf8_lossy(&entry.name)),
            string(&percent_encode(&entry.name)),
            entry.is_directory,
            entry.size,
            entry.modified
        );
    }
    out.push_str("]\n");
    out
}

/// A string with its quotes.
pub fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", char as u32);
            }
            _ => out.push(char),
        }
    }
    out.push('"');
    out
}

/// A name as a part of a path in a URL; it need not be UTF-8.
pub fn percent_encode(name: &[u8]) -> String {
    let mut out = String::new();
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
