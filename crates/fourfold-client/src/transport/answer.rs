//! The answer to a request.

use reqwest::header::HeaderValue;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, MatrixErrorBody};

/// An answer with a status of 2xx or 4xx.
pub(crate) struct Answer {
    pub(super) server: String,
    pub(super) status: u16,
    pub(super) entity_tag: Option<HeaderValue>,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    /// The body, whole or as much of it as was asked for.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The tag of what was read, on servers that tag account data.
    pub(crate) fn entity_tag(&self) -> Option<&HeaderValue> {
        self.entity_tag.as_ref()
    }

    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Returns `true` if it is an error with this code.
    pub(crate) fn is_matrix_error(&self, errcode: &str) -> bool {
        !self.is_success() && MatrixErrorBody::read(&self.body).is_some_and(|body| body.is(errcode))
    }

    /// Returns `true` if it is an error in the words of Matrix.
    pub(crate) fn has_matrix_error(&self) -> bool {
        !self.is_success() && MatrixErrorBody::read(&self.body).is_some()
    }

    /// Where it came from.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The error that the answer is, or that it cannot be understood.
    pub(crate) fn into_error(self, to: &'static str) -> Error {
        let kind = if self.is_success() {
            ErrorKind::Malformed { to }
        } else {
            match MatrixErrorBody::read(&self.body) {
                Some(body) => body.kind(self.status),
                None => ErrorKind::NotAHomeserver {
                    status: self.status,
                },
            }
        };
        Error::from(kind).at(&self.server)
    }

    /// The body of a success, read as what belongs there.
    pub(crate) fn json<T: DeserializeOwned>(self, to: &'static str) -> Result<T, Error> {
        if !self.is_success() {
            return Err(self.into_error(to));
        }
        self.read().ok_or_else(|| self.into_error(to))
    }

    /// The body of any answer, if it is what would belong there.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body of a success, as the JSON text that was received.
    pub(crate) fn text(self, to: &'static str) -> Result<String, Error> {
        let is_json = serde_json::from_slice::<&serde_json::value::RawValue>(&self.body).is_ok();
        match std::str::from_utf8(&self.body) {
            Ok(text) if self.is_success() && is_json => Ok(text.to_owned()),
            _ => Err(self.into_error(to)),
        }
    }
}
