//! A step that changes account data.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::state::StepState;
use crate::{Content, canonical_json};

/// Put this content under this event type, expecting that
/// ([`PUT /user/{userId}/account_data/{type}`][put]).
///
/// [put]: https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3useruseridaccount_datatype
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct PutAccountData {
    /// The event type of the account data.
    pub event_type: String,
    /// The new content.
    pub content: Content,
    /// The JSON text that was there when the plan was made, or the step before left there; `None`
    /// for nothing. An event may hold `null`, which is not nothing.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    expects: Option<Box<RawValue>>,
}

impl PutAccountData {
    /// Expects what is there now, as JSON text.
    pub(in crate::plan) fn over(event_type: String, content: Content, now: Option<&str>) -> Self {
        Self {
            event_type,
            content,
            expects: now.and_then(|json| RawValue::from_string(json.to_owned()).ok()),
        }
    }

    /// Compares what is there now, as JSON text or `None` for nothing, with what the step expects.
    #[must_use]
    pub fn state(&self, now: Option<&str>) -> StepState {
        if is_same(now, Some(&self.content.to_json())) {
            StepState::Done
        } else if is_same(now, self.expects()) {
            StepState::Due
        } else {
            StepState::Conflict
        }
    }

    /// The content that the step expects to find, as JSON text; `None` for none.
    #[must_use]
    pub fn expects(&self) -> Option<&str> {
        self.expects.as_ref().map(|raw| raw.get())
    }

    /// Returns `true` if the step empties the event, which is how account data is deleted.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        self.content.is_empty()
    }
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

/// Servers differ in whether an emptied event is answered with `{}` or with 404.
fn is_same(left: Option<&str>, right: Option<&str>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => canonical_json::is_same(left, right),
        (None, None) => true,
        (Some(json), None) | (None, Some(json)) => canonical_json::is_same(json, "{}"),
    }
}
