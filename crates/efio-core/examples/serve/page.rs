//! The page: one file without external resources.

use crate::json;
use crate::response::{self, Head, Status};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

const PAGE: &str = include_str!("page.html");

/// The page of a directory; it asks for the list itself.
pub fn send(output: &mut Vec<u8>, keep_alive: bool, with_body: bool) {
    Head::new(Status::Ok, keep_alive)
        .field("Content-Type", "text/html; charset=utf-8")
        .field("Content-Length", PAGE.len())
        .field("Cache-Control", "no-cache")
        .field(
            "Content-Security-Policy",
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
             connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'",
        )
        .end(output);
    if with_body {
        output.extend_from_slice(PAGE.as_bytes());
    }
}

/// Adds the trailing slash of a directory, without which relative links of its page would be wrong.
pub fn redirect(output: &mut Vec<u8>, path: &Path, keep_alive: bool) {
    let parts = path
        .iter()
        .map(|part| json::percent_encode(part.as_bytes()));
    let location: String = parts.map(|part| format!("/{part}")).collect();
    Head::new(Status::MovedPermanently, keep_alive)
        .field("Location", format!("{location}/"))
        .field("Content-Length", 0)
        .end(output);
}

/// The head of the live metrics, which end with the connection.
pub fn begin_events(output: &mut Vec<u8>) {
    Head::new(Status::Ok, false)
        .field("Content-Type", "text/event-stream")
        .field("Cache-Control", "no-store")
        .end(output);
}

/// The response for a client for which there is no room.
pub fn busy() -> Vec<u8> {
    let mut output = Vec::new();
    response::short(&mut output, Status::Unavailable, false, true);
    output
}
