//! Responses: status lines and heads.

use std::fmt::{Display, Write};

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Ok = 200,
    Created = 201,
    NoContent = 204,
    PartialContent = 206,
    MovedPermanently = 301,
    NotModified = 304,
    BadRequest = 400,
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    Conflict = 409,
    LengthRequired = 411,
    BodyTooLarge = 413,
    TargetTooLong = 414,
    RangeNotSatisfiable = 416,
    ExpectationFailed = 417,
    HeadTooLarge = 431,
    ServerError = 500,
    NotImplemented = 501,
    Unavailable = 503,
    VersionNotSupported = 505,
    DiskFull = 507,
}

impl Status {
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Created => "Created",
            Self::NoContent => "No Content",
            Self::PartialContent => "Partial Content",
            Self::MovedPermanently => "Moved Permanently",
            Self::NotModified => "Not Modified",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
            Self::Conflict => "Conflict",
            Self::LengthRequired => "Length Required",
            Self::BodyTooLarge => "Content Too Large",
            Self::TargetTooLong => "URI Too Long",
            Self::RangeNotSatisfiable => "Range Not Satisfiable",
            Self::ExpectationFailed => "Expectation Failed",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::ServerError => "Internal Server Error",
            Self::NotImplemented => "Not Implemented",
            Self::Unavailable => "Service Unavailable",
            Self::VersionNotSupported => "HTTP Version Not Supported",
            Self::DiskFull => "Insufficient Storage",
        }
    }

    /// What an error number means to a client.
    pub fn of_errno(errno: Option<i32>) -> Self {
        match errno {
            Some(libc::ENOENT) => Self::NotFound,
            // EXDEV and ELOOP: the path leads out of the root.
            Some(libc::EACCES | libc::EPERM | libc::EXDEV | libc::ELOOP | libc::EROFS) => {
                Self::Forbidden
            }
            Some(libc::ENOTDIR | libc::EISDIR | libc::ENOTEMPTY | libc::EEXIST) => Self::Conflict,
            Some(libc::ENAMETOOLONG | libc::EINVAL) => Self::BadRequest,
            Some(libc::ENOSPC | libc::EDQUOT) => Self::DiskFull,
            Some(libc::EFBIG) => Self::BodyTooLarge,
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => Self::Unavailable,
            _ => Self::ServerError,
        }
    }
}

/// A head that is being built.
pub struct Head(String);

impl Head {
    pub fn new(status: Status, keep_alive: bool) -> Self {
        let mut head = format!("HTTP/1.1 {} {}\r\n", status as u16, status.reason());
        let connection = if keep_alive { "keep-alive" } else { "close" };
        // Writing to a string cannot fail.
        let _ = write!(
            head,
            "Date: {}\r\nConnection: {connection}\r\n",
            httpdate::fmt_http_date(std::time::SystemTime::now())
        );
        Self(head)
    }

    #[must_use]
    pub fn field(mut self, name: &str, value: impl Display) -> Self {
        let _ = write!(self.0, "{name}: {value}\r\n");
        self
    }

    pub fn end(mut self, output: &mut Vec<u8>) {
        self.0.push_str("\r\n");
        output.extend_from_slice(self.0.as_bytes());
    }
}

/// A whole response with a body that is in memory; `with_body` is false for HEAD.
pub fn whole(
    output: &mut Vec<u8>,
    status: Status,
    keep_alive: bool,
    kind: &str,
    body: &[u8],
    with_body: bool,
) {
    Head::new(status, keep_alive)
        .field("Content-Type", kind)
        .field("Content-Length", body.len())
        .field("Cache-Control", "no-store")
        .field("X-Content-Type-Options", "nosniff")
        .end(output);
    if with_body {
        output.extend_from_slice(body);
    }
}

/// A response with its status only.
pub fn short(output: &mut Vec<u8>, status: Status, keep_alive: bool, with_body: bool) {
    match status {
        Status::NoContent => Head::new(status, keep_alive).end(output),
        Status::MethodNotAllowed => {
            Head::new(status, keep_alive)
                .field("Allow", ALLOW)
                .field("Content-Length", 0)
                .end(output);
        }
        _ => {
            let body = format!("{} {}\n", status as u16, status.reason());
            let kind = "text/plain; charset=utf-8";
            whole(output, status, keep_alive, kind, body.as_bytes(), with_body);
        }
    }
}

pub const ALLOW: &str = "GET, HEAD, PUT, DELETE, OPTIONS";
