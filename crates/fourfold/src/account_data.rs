//! A snapshot of a user's global account data.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::content::{self, Content, ContentError};

/// All of a user's global account data at one moment: event type to content
/// ([Client config](https://spec.matrix.org/v1.19/client-server-api/#client-config)).
///
/// Contents are not looked into until they are asked for, so that one malformed event never hides
/// another, and they are kept as they came.
///
/// ```
/// use fourfold::{AccountData, EventState};
/// let data = AccountData::from_json(r#"{"org.example": {"a": 1}, "m.broken": 7}"#)?;
/// assert!(matches!(data.state("org.example"), EventState::Content(_)));
/// assert!(matches!(data.state("m.broken"), EventState::Malformed(_)));
/// assert!(matches!(data.state("m.direct"), EventState::Absent));
/// # Ok::<(), fourfold::ContentError>(())
/// ```
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(transparent)]
pub struct AccountData {
    events: BTreeMap<String, Box<RawValue>>,
}

impl AccountData {
    /// Reads `{type: content, …}`.
    ///
    /// # Errors
    ///
    /// [`ContentError::NotJson`] when it is not an object, [`ContentError::TooManyEvents`].
    pub fn from_json(json: &str) -> Result<Self, ContentError> {
        let data: Self = serde_json::from_str(json).map_err(|_| ContentError::NotJson)?;
        data.check_number()?;
        Ok(data)
    }

    /// The most events that are read. An account with more is refused as a whole: to read some of
    /// them would be to let the server choose which secrets there are.
    pub const MAX_EVENTS: usize = content::MAX_EVENTS;

    /// Writes `{type: content, …}`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Takes the JSON text of an event's content, as `GET …/account_data/{type}` or `/sync` gave it.
    ///
    /// # Errors
    ///
    /// [`ContentError::NotJson`] when it is not JSON, and [`ContentError::TooManyEvents`] when it would
    /// be one more than [`MAX_EVENTS`](Self::MAX_EVENTS); nothing is changed then.
    pub fn insert_json(
        &mut self,
        event_type: impl Into<String>,
        content: impl Into<String>,
    ) -> Result<(), ContentError> {
        let event_type = event_type.into();
        if self.events.len() >= Self::MAX_EVENTS && !self.events.contains_key(&event_type) {
            return Err(ContentError::TooManyEvents);
        }
        let raw = RawValue::from_string(content.into()).map_err(|_| ContentError::NotJson)?;
        self.events.insert(event_type, raw);
        Ok(())
    }

    /// Sets the content of an event, as a step of a [`Plan`](crate::Plan) does.
    pub fn insert(&mut self, event_type: impl Into<String>, content: &Content) {
        if let Ok(raw) = serde_json::value::to_raw_value(content) {
            self.events.insert(event_type.into(), raw);
        }
    }

    /// Removes an event, as if the server had never held it.
    pub fn remove(&mut self, event_type: &str) {
        self.events.remove(event_type);
    }

    /// The content under an event type.
    #[must_use]
    pub fn state(&self, event_type: &str) -> EventState {
        match self.raw(event_type) {
            None => EventState::Absent,
            Some("null") => EventState::Null,
            Some(json) => match Content::from_json(json) {
                Ok(content) if content.is_empty() => EventState::Deleted,
                Ok(content) => EventState::Content(content),
                Err(error) => EventState::Malformed(error),
            },
        }
    }

    /// The JSON text under an event type.
    #[must_use]
    pub fn raw(&self, event_type: &str) -> Option<&str> {
        self.events.get(event_type).map(|raw| raw.get())
    }

    /// The event types, in order.
    pub fn event_types(&self) -> impl Iterator<Item = &str> {
        self.events.keys().map(String::as_str)
    }

    /// Checks the number of events that were read without [`insert_json`](Self::insert_json).
    pub(crate) fn check_number(&self) -> Result<(), ContentError> {
        if self.events.len() > Self::MAX_EVENTS {
            return Err(ContentError::TooManyEvents);
        }
        Ok(())
    }
}

impl fmt::Debug for AccountData {
    /// Names the event types and leaves the contents out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.event_types()).finish()
    }
}

/// The content under an event type. The four ways of absence differ: `{}` is how clients
/// delete, and absence where something was seen before is suspicious.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "every state of an event is listed")]
pub enum EventState {
    /// Nothing: the server answers 404.
    Absent,
    /// An object with members.
    Content(Content),
    /// `{}`.
    Deleted,
    /// Something else than a JSON object.
    Malformed(ContentError),
    /// `null`.
    Null,
}
