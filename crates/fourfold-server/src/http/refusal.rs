//! From an error to its response.

use axum::body::Body;
use http::{HeaderValue, Response, header};
use serde_json::json;

use super::answer;
use super::error::MatrixError;

/// The answer to a request that was not done.
pub(crate) fn refusal(error: &MatrixError) -> Response<Body> {
    let (status, errcode) = error.code();
    let mut body = json!({ "errcode": errcode, "error": error.to_string() });
    match error {
        MatrixError::Interactive(challenge) => body = challenge.clone(),
        MatrixError::UnknownToken { soft_logout: true } => {
            if let Some(body) = body.as_object_mut() {
                body.insert("soft_logout".to_owned(), true.into());
            }
        }
        MatrixError::WrongBackupVersion { current } => {
            if let Some(body) = body.as_object_mut() {
                body.insert("current_version".to_owned(), current.to_string().into());
            }
        }
        MatrixError::LimitExceeded { retry_after } | MatrixError::InboxFull { retry_after } => {
            if let Some(body) = body.as_object_mut() {
                let milliseconds = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
                body.insert("retry_after_ms".to_owned(), milliseconds.into());
            }
        }
        _ => {}
    }
    let mut answer = answer::brief(status, body.to_string().into());
    if let MatrixError::LimitExceeded { retry_after }
    | MatrixError::InboxFull { retry_after }
    | MatrixError::Busy { retry_after } = error
    {
        // Whole seconds, rounded up: an earlier attempt would be refused again.
        let seconds = u64::try_from(retry_after.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    answer
}
