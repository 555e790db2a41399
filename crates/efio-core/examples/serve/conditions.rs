//! Conditions and ranges (RFC 9110 §13, §14): what of a file is to be sent.

use crate::request::{Method, Request, trim};
use crate::response::Status;
use crate::root::Version;
use std::time::{Duration, SystemTime};

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub status: Status,
    pub from: u64,
    pub len: u64,
}

/// Chooses the part of `version` that `request` wants.
pub fn choose(request: &Request, version: &Version) -> Part {
    let part = |status, from, len| Part { status, from, len };
    let unchanged = match (&request.if_none_match, &request.if_modified_since) {
        (Some(list), _) => is_listed(version, list),
        (None, Some(date)) => *date == version.last_modified(),
        (None, None) => false,
    };
    if unchanged {
        return part(Status::NotModified, 0, 0);
    }
    let all = part(Status::Ok, 0, version.size);
    let range = request
        .range
        .as_ref()
        .filter(|_| request.method == Method::Get);
    let holds = |validator: &String| is_named(version, validator);
    let (Some(range), true) = (range, request.if_range.as_ref().is_none_or(holds)) else {
        return all;
    };
    match parse_range(range, version.size) {
        Range::All => all,
        Range::Part(from, len) => part(Status::PartialContent, from, len),
        Range::Outside => part(Status::RangeNotSatisfiable, 0, 0),
    }
}

/// `If-Range`: a resumed download goes on only in the very same version. A date counts only once
/// its second is over: a change within that second does not show in it.
fn is_named(version: &Version, validator: &str) -> bool {
    if validator.starts_with('"') {
        return validator == version.etag;
    }
    let is_old = SystemTime::now()
        .duration_since(version.modified)
        .is_ok_and(|age| age > Duration::from_secs(2));
    is_old && validator == version.last_modified()
}

fn is_listed(version: &Version, list: &str) -> bool {
    list.split(',')
        .map(trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == version.etag)
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// Several ranges, another unit, or nonsense: the server may send everything.
    All,
    Part(u64, u64),
    Outside,
}

fn parse_range(range: &str, size: u64) -> Range {
    let Some(spec) = range.strip_prefix("bytes=") else {
        return Range::All;
    };
    let Some((first, last)) = trim(spec).split_once('-') else {
        return Range::All;
    };
    // Digits only, which `parse` would not insist on; a number beyond 64 bits is beyond any file.
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (None, Some(0)) => Range::Outside,
        (None, Some(suffix)) if first.is_empty() => match suffix.min(size) {
            0 => Range::Outside,
            len => Range::Part(size - len, len),
        },
        (Some(first), last) if last.is_some() || trim(spec).ends_with('-') => {
            let last = last.unwrap_or(u64::MAX);
            if last < first {
                Range::All
            } else if first >= size {
                Range::Outside
            } else {
                Range::Part(first, last.min(size - 1) - first + 1)
            }
        }
        _ => Range::All,
    }
}
