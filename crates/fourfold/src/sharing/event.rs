//! Sharing secrets between the devices of a user, with `m.secret.request` and `m.secret.send`
//! ([Sharing](https://spec.matrix.org/v1.19/client-server-api/#sharing)).
//!
//! This module holds the events as they are on the wire. It is also the place of the state machine
//! `SecretSharing`: what happened goes in, with the time as an argument, and what to do comes out.

use crate::{Content, ContentError};

/// The content of a to-device event that concerns secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SharingEvent {
    /// `m.secret.request` with the action `request`.
    Request {
        /// The secret that is asked for. The specification demands it.
        name: Option<String>,
        /// What binds the answer to the request.
        request_id: Option<String>,
    },
    /// `m.secret.request` with the action `request_cancellation`.
    Cancellation {
        /// Some clients name the secret, which is harmless.
        name: Option<String>,
        /// The request that is taken back.
        request_id: Option<String>,
    },
    /// `m.secret.send`: an answer. It names no secret; only the request does.
    Send {
        /// The request that is answered.
        request_id: Option<String>,
    },
    /// `m.secret.push` (MSC4385): a secret that nobody asked for.
    Push {
        /// The secret that it says to be.
        name: Option<String>,
    },
    /// Anything else, such as a request with an action of the future. Ignored, not an error.
    Unknown {
        /// The secret that it names.
        name: Option<String>,
        /// The request that it names.
        request_id: Option<String>,
    },
}

impl SharingEvent {
    /// Reads the content of a to-device event. Secrets in it are not taken out.
    ///
    /// # Errors
    ///
    /// [`ContentError`] when it is no JSON object.
    ///
    /// ```
    /// use fourfold::sharing::SharingEvent;
    /// let event = SharingEvent::from_json(
    ///     "m.secret.request",
    ///     r#"{"action": "request_cancellation", "request_id": "1"}"#,
    /// )?;
    /// assert!(matches!(event, SharingEvent::Cancellation { name: None, .. }));
    /// # Ok::<(), fourfold::ContentError>(())
    /// ```
    pub fn from_json(event_type: &str, json: &str) -> Result<Self, ContentError> {
        let content = Content::from_json(json)?;
        let text = |member| content.get::<String>(member).and_then(Result::ok);
        let (name, request_id) = (text("name"), text("request_id"));
        Ok(match event_type {
            "m.secret.request" => match text("action").as_deref() {
                Some("request") => Self::Request { name, request_id },
                Some("request_cancellation") => Self::Cancellation { name, request_id },
                _ => Self::Unknown { name, request_id },
            },
            "m.secret.send" => Self::Send { request_id },
            "m.secret.push" | "io.element.msc4385.secret.push" => Self::Push { name },
            _ => Self::Unknown { name, request_id },
        })
    }
}
