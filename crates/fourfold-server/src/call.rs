//! One request, read and checked as its route demands, on its way to its handler.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::http::error::MatrixError;
use crate::http::json;
use crate::store::{Condition, DeviceId, Session, UserId};

/// One request. It has no `Debug`: bodies hold passwords and secrets.
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    /// Whose request it is; always there on a route that is not public.
    pub(crate) session: Option<Session>,
    /// The parts of the path that the route names, percent-decoded once.
    pub(crate) parameters: Vec<(Arc<str>, Box<str>)>,
    pub(crate) query: String,
    pub(crate) body: Bytes,
    /// The precondition of a write.
    pub(crate) condition: Condition,
    pub(crate) address: IpAddr,
}

impl Call {
    /// The session. On a public route, which has none, this is the error of a missing token.
    pub(crate) fn session(&self) -> Result<&Session, MatrixError> {
        self.session.as_ref().ok_or(MatrixError::MissingToken)
    }

    /// Whose request it is.
    pub(crate) fn user(&self) -> Result<&UserId, MatrixError> {
        Ok(&self.session()?.user)
    }

    /// A part of the path.
    pub(crate) fn parameter(&self, name: &str) -> Result<&str, MatrixError> {
        let found = self.parameters.iter().find(|(known, _)| **known == *name);
        found
            .map(|(_, value)| &**value)
            .ok_or(MatrixError::UnknownPath)
    }

    /// A device ID in the path.
    pub(crate) fn device_id(&self) -> Result<DeviceId, MatrixError> {
        Ok(DeviceId::new(self.parameter("deviceId")?))
    }

    /// The query string.
    pub(crate) fn query<T: DeserializeOwned>(&self) -> Result<T, MatrixError> {
        serde_html_form::from_str(&self.query)
            .map_err(|_| MatrixError::InvalidParam("a query parameter is invalid"))
    }

    /// The body, which must be a JSON object of this shape.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, MatrixError> {
        self.check_body()?;
        read(&self.body)
    }

    /// The body after [`check_body`](Self::check_body), for shapes that borrow from it.
    pub(crate) fn body_unchecked<'b, T: Deserialize<'b>>(&'b self) -> Result<T, MatrixError> {
        read(&self.body)
    }

    /// The body, where none at all means an empty object.
    pub(crate) fn optional_body<T: DeserializeOwned>(&self) -> Result<T, MatrixError> {
        if self.body.is_empty() {
            return read(b"{}");
        }
        self.body()
    }

    /// Refuses a body that is not a JSON object fit to be stored.
    pub(crate) fn check_body(&self) -> Result<(), MatrixError> {
        json::check_object(&self.body, self.app.config.limits.body.json_depth)
    }
}

fn read<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, MatrixError> {
    serde_json::from_slice(body).map_err(|error| {
        // The position and the expectation, never a value: values here are passwords.
        let (line, column) = (error.line(), error.column());
        let place = format!("the body has the wrong shape at line {line} column {column}");
        MatrixError::BadJson(Cow::Owned(place))
    })
}
