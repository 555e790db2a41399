//! Requests: what a head says, checked before anything is done.

use crate::response::Status;
use crate::root::OURS;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str;

/// The most fields in a head.
const FIELDS: usize = 64;
/// The longest target.
const TARGET: usize = 8 << 10;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Head,
    Put,
    Delete,
    Options,
}

/// How the body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    Length(u64),
    Chunked,
}

/// What the query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The file, or the page of a directory.
    Plain,
    /// `?list`: what a directory holds, as JSON.
    List,
    /// `?events`: the live metrics.
    Events,
}

/// One request.
#[derive(Debug)]
pub struct Request {
    pub method: Method,
    /// Relative to the root; empty for the root itself.
    pub path: PathBuf,
    /// The path ends in a slash.
    pub directory: bool,
    pub view: View,
    pub body: Body,
    pub keep_alive: bool,
    pub expects_continue: bool,
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
}

/// Parses a head at the start of `bytes`: the request and how long its head is, `None` while it is
/// not complete. A bad one ends the connection: where the next one begins is unknown.
pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Status> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let len = match head.parse(bytes) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(Status::HeadTooLarge),
        Err(httparse::Error::Version) => return Err(Status::VersionNotSupported),
        Err(_) => return Err(Status::BadRequest),
    };
    let fields = Fields(head.headers);
    let is_1_1 = head.version == Some(1);
    if is_1_1 && fields.all("host").count() != 1 {
        return Err(Status::BadRequest);
    }
    let method = match head.method.unwrap_or_default() {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        _ => return Err(Status::MethodNotAllowed),
    };
    let target = head.path.unwrap_or_default();
    if target.len() > TARGET {
        return Err(Status::TargetTooLong);
    }
    let (path, query) = split_target(target, method)?;
    let (path, directory) = decode(path)?;
    let view = match query {
        Some("list") => View::List,
        Some("events") => View::Events,
        _ => View::Plain,
    };
    let keep_alive = !fields.has_token("connection", "close")
        && (is_1_1 || fields.has_token("connection", "keep-alive"));
    let body = body(&fields, method, is_1_1)?;
    let expects_continue = match fields.one("expect")? {
        None => false,
        Some(what) if what.eq_ignore_ascii_case("100-continue") => is_1_1,
        Some(_) => return Err(Status::ExpectationFailed),
    };
    let owned = |name| fields.all(name).next().map(str::to_owned);
    Ok(Some((
        Request {
            method,
            path,
            directory,
            view,
            body,
            keep_alive,
            expects_continue,
            range: owned("range"),
            if_range: owned("if-range"),
            if_none_match: owned("if-none-match"),
            if_modified_since: owned("if-modified-since"),
        },
        len,
    )))
}

/// How the body comes (RFC 9112 §6.3). Whatever two readers could understand differently is
/// refused.
fn body(fields: &Fields<'_>, method: Method, is_1_1: bool) -> Result<Body, Status> {
    let coding = fields.one("transfer-encoding")?;
    let length = fields.one("content-length")?;
    match (coding, length) {
        (Some(_), Some(_)) => Err(Status::BadRequest),
        (Some(_), None) if !is_1_1 => Err(Status::BadRequest),
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Ok(Body::Chunked),
        (Some(_), None) => Err(Status::NotImplemented),
        (None, Some(length)) => {
            let digits = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
            let length = digits.then(|| length.parse().ok()).flatten();
            length.map(Body::Length).ok_or(Status::BadRequest)
        }
        (None, None) if method == Method::Put => Err(Status::LengthRequired),
        (None, None) => Ok(Body::Length(0)),
    }
}

/// Path and query of an origin-form or absolute-form target.
fn split_target(target: &str, method: Method) -> Result<(&str, Option<&str>), Status> {
    if target == "*" && method == Method::Options {
        return Ok(("/", None));
    }
    let target = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            rest.find('/').map_or("/", |slash| &rest[slash..])
        }
        _ => target,
    };
    if !target.starts_with('/') {
        return Err(Status::BadRequest);
    }
    Ok(match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    })
}

/// The path below the root, and whether it ends in a slash. The kernel keeps what is opened beneath
/// the root; this refuses what would be ambiguous anyway.
fn decode(path: &str) -> Result<(PathBuf, bool), Status> {
    let mut decoded = PathBuf::new();
    let mut parts = path[1..].split('/').peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() && parts.peek().is_none() {
            return Ok((decoded, true));
        }
        let name = percent_decode(part).ok_or(Status::BadRequest)?;
        let is_riddle = matches!(name.as_slice(), b"" | b"." | b"..")
            || name.contains(&0)
            || name.contains(&b'/')
            || name.len() > 255;
        if is_riddle {
            return Err(Status::BadRequest);
        }
        if name.starts_with(OURS.as_bytes()) {
            return Err(Status::NotFound);
        }
        decoded.push(OsStr::from_bytes(&name));
    }
    Ok((decoded, false))
}

fn percent_decode(part: &str) -> Option<Vec<u8>> {
    let mut bytes = part.bytes();
    let mut decoded = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push((digit()? * 16 + digit()?) as u8);
    }
    Some(decoded)
}

/// Without the white space around a field's value (RFC 9110 §5.6.3): blanks and tabs, nothing else.
/// Proxies take Unicode's other white space as part of the value, so a length or a coding with it
/// must not pass for one without.
pub fn trim(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// The fields of a head, by name.
struct Fields<'a>(&'a [httparse::Header<'a>]);

impl<'a> Fields<'a> {
    /// All values of a field; what is not UTF-8 counts as empty.
    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        let fields = self.0.iter();
        let fields = fields.filter(move |field| field.name.eq_ignore_ascii_case(name));
        fields.map(|field| trim(str::from_utf8(field.value).unwrap_or_default()))
    }

    /// The value of a field that may be there once.
    fn one(&self, name: &'static str) -> Result<Option<&'a str>, Status> {
        let mut values = self.all(name);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            _ => Err(Status::BadRequest),
        }
    }

    fn has_token(&self, name: &'static str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(','))
            .any(|part| trim(part).eq_ignore_ascii_case(token))
    }
}
