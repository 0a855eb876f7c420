//! Conditional writes: `If-Match` and `If-None-Match` (RFC 9110, section 13.1), and the tags they
//! name.
//!
//! The specification has no compare-and-swap for account data. These headers are optional: a client
//! that sends none writes as everywhere else.

use http::{HeaderMap, header};

use crate::http::error::MatrixError;
use crate::store::{Condition, Position};

/// The condition of a request. Only what account data needs is understood: one tag, or `*`.
pub(crate) fn of(headers: &HeaderMap) -> Result<Condition, MatrixError> {
    match (
        headers.get(header::IF_MATCH),
        headers.get(header::IF_NONE_MATCH),
    ) {
        (None, None) => Ok(Condition::Always),
        (Some(tag), None) if tag == "*" => Ok(Condition::Present),
        (Some(tag), None) => tag
            .to_str()
            .ok()
            .and_then(position)
            .map(Condition::Unchanged)
            // A tag that this server never issued matches nothing that is stored.
            .ok_or(MatrixError::ConcurrentWrite),
        (None, Some(tag)) if tag == "*" => Ok(Condition::Absent),
        _ => Err(MatrixError::InvalidParam(
            "If-Match takes one tag or *, If-None-Match takes *",
        )),
    }
}

/// The tag of what a change stored.
pub(crate) fn entity_tag(position: Position) -> String {
    format!("\"{}\"", position.0)
}

fn position(tag: &str) -> Option<Position> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    digits.parse().ok().map(Position)
}
