//! The content of an account-data event: a JSON object that is kept as it came.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{base64, canonical_json};

/// A JSON object whose members stay byte for byte as they were received until they are replaced.
///
/// Members that Fourfold does not know survive every rewrite, numbers beyond 2^53 included. An
/// object that names a member twice is refused, because two readers could disagree about it.
///
/// ```
/// use fourfold::Content;
/// let mut content = Content::from_json(r#"{"version": 12345678901234567890, "a": 1}"#)?;
/// content.insert("a", &"two");
/// assert_eq!(content.to_json(), r#"{"a":"two","version":12345678901234567890}"#);
/// # Ok::<(), fourfold::ContentError>(())
/// ```
#[derive(Clone, Default)]
pub struct Content {
    members: BTreeMap<String, Box<RawValue>>,
}

impl Content {
    /// Reads a JSON object of at most [`Content::MAX_BYTES`] and [`Content::MAX_DEPTH`].
    ///
    /// # Errors
    ///
    /// [`ContentError`]: not JSON, not an object, a member twice, too large or too deep.
    pub fn from_json(json: &str) -> Result<Self, ContentError> {
        if json.len() > Self::MAX_BYTES {
            return Err(ContentError::TooLarge);
        }
        // What has few brackets cannot be deep, and counting them is much faster.
        if brackets(json) > Self::MAX_DEPTH && depth(json) > Self::MAX_DEPTH {
            return Err(ContentError::TooDeep);
        }
        serde_json::from_str(json).map_err(|error| classify(json, &error))
    }

    /// The largest content that is read: 1 MiB of JSON text.
    pub const MAX_BYTES: usize = 1024 * 1024;
    /// The deepest nesting that is read.
    pub const MAX_DEPTH: usize = 64;

    /// Whether there is no member: `{}`, which is how account data is deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The JSON text of a member.
    #[must_use]
    pub fn raw(&self, member: &str) -> Option<&str> {
        self.members.get(member).map(|raw| raw.get())
    }

    /// A member as the type that is expected there.
    ///
    /// `None` when it is missing, `Some(Err(…))` when it is something else.
    #[must_use]
    pub fn get<'a, T: Deserialize<'a>>(&'a self, member: &str) -> Option<Result<T, WrongType>> {
        self.raw(member)
            .map(|raw| serde_json::from_str(raw).map_err(|_| WrongType))
    }

    /// A member that is a string, copied only when it is written with escapes.
    pub(crate) fn text(&self, member: &str) -> Option<Result<Cow<'_, str>, WrongType>> {
        let raw = self.raw(member)?;
        let Some(text) = raw
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
        else {
            return Some(Err(WrongType));
        };
        if text.contains('\\') {
            self.get(member).map(|text| text.map(Cow::Owned))
        } else {
            Some(Ok(Cow::Borrowed(text)))
        }
    }

    /// A member that is itself an object.
    ///
    /// `None` when it is missing.
    #[must_use]
    pub fn object(&self, member: &str) -> Option<Result<Self, ContentError>> {
        self.raw(member).map(Self::from_json)
    }

    /// The names of the members, in order.
    pub fn members(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// Sets a member. A value that JSON cannot express is not set.
    pub fn insert(&mut self, member: impl Into<String>, value: &(impl Serialize + ?Sized)) {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            self.members.insert(member.into(), raw);
        }
    }

    /// Sets a member to the unpadded base64 of bytes.
    pub(crate) fn insert_base64(&mut self, member: &str, bytes: &[u8]) {
        if let Ok(raw) = RawValue::from_string(base64::encode_quoted(bytes)) {
            self.members.insert(member.to_owned(), raw);
        }
    }

    /// Removes a member, and says whether it was there.
    pub fn remove(&mut self, member: &str) -> bool {
        self.members.remove(member).is_some()
    }

    /// The JSON text of the whole object.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Reserved in full: a large member is copied once.
        let mut size = 2;
        for (member, raw) in &self.members {
            size += member.len() + raw.get().len() + 4;
        }
        let mut json = String::with_capacity(size);
        json.push('{');
        for (member, raw) in &self.members {
            if json.len() > 1 {
                json.push(',');
            }
            canonical_json::append_string(&mut json, member);
            json.push(':');
            json.push_str(raw.get());
        }
        json.push('}');
        json
    }

    /// Whether both say the same, whatever the order of members, white space and escapes.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        canonical_json::is_same(&self.to_json(), &other.to_json())
    }
}

/// Why a text is not the content of an account-data event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// An object names the same member twice.
    #[error("names a member twice")]
    DuplicateMember,
    /// Valid JSON, but an array, a string, a number, a boolean or `null`.
    #[error("is not a JSON object")]
    NotAnObject,
    /// Not JSON.
    #[error("is not JSON")]
    NotJson,
    /// Nested deeper than [`Content::MAX_DEPTH`].
    #[error("is nested deeper than {} levels", Content::MAX_DEPTH)]
    TooDeep,
    /// Larger than [`Content::MAX_BYTES`].
    #[error("is larger than {} bytes", Content::MAX_BYTES)]
    TooLarge,
}

/// A member is there but has another JSON type than belongs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has the wrong JSON type")]
pub struct WrongType;

impl fmt::Debug for Content {
    /// Names the members and leaves their values out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.members()).finish()
    }
}

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.members.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((member, raw)) = map.next_entry::<String, Box<RawValue>>()? {
            if members.insert(member, raw).is_some() {
                return Err(A::Error::custom(DUPLICATE_MEMBER));
            }
        }
        Ok(Content { members })
    }
}

pub(crate) const DUPLICATE_MEMBER: &str = "duplicate member";

fn classify(json: &str, error: &serde_json::Error) -> ContentError {
    if error.to_string().starts_with(DUPLICATE_MEMBER) {
        ContentError::DuplicateMember
    } else if serde_json::from_str::<&RawValue>(json).is_ok() && !json.trim_start().starts_with('{')
    {
        ContentError::NotAnObject
    } else {
        ContentError::NotJson
    }
}

/// How many arrays and objects begin here at most: brackets in strings count too.
fn brackets(json: &str) -> usize {
    // Lengths that fit a byte, so that many bytes are counted at once.
    json.as_bytes()
        .chunks(255)
        .map(|chunk| {
            let found = chunk.iter().fold(0_u8, |found, byte| {
                found + u8::from(matches!(byte, b'{' | b'['))
            });
            usize::from(found)
        })
        .sum()
}

/// How deep arrays and objects are nested; text that is not JSON gives a number without meaning.
fn depth(json: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_survive_byte_for_byte() {
        let mut content =
            Content::from_json(r#"{"z":[1.50, 1e400 ],"a":"\u0041","n":123456789012345678901}"#)
                .unwrap();
        content.insert("b", &1);
        assert_eq!(
            content.to_json(),
            r#"{"a":"\u0041","b":1,"n":123456789012345678901,"z":[1.50, 1e400 ]}"#
        );
    }

    #[test]
    fn tells_what_is_wrong() {
        for (json, error) in [
            ("", ContentError::NotJson),
            ("{", ContentError::NotJson),
            ("[]", ContentError::NotAnObject),
            (" null", ContentError::NotAnObject),
            (r#"{"a":1,"a":1}"#, ContentError::DuplicateMember),
        ] {
            assert_eq!(Content::from_json(json).unwrap_err(), error, "{json}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(64), "]".repeat(64));
        assert_eq!(
            Content::from_json(&deep).unwrap_err(),
            ContentError::TooDeep
        );
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(Content::MAX_BYTES));
        assert_eq!(
            Content::from_json(&large).unwrap_err(),
            ContentError::TooLarge
        );
    }

    #[test]
    fn compares_values_and_not_texts() {
        let left = Content::from_json(r#"{"a":{"b":1,"c":"\u00e9"}}"#).unwrap();
        let right = Content::from_json(r#"{ "a" : {"c":"é", "b": 1} }"#).unwrap();
        assert!(left.is_same(&right));
        assert!(!left.is_same(&Content::from_json(r#"{"a":{"b":2,"c":"é"}}"#).unwrap()));
    }
}
