//! The content of an account-data event: a JSON object that is kept as it came.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::ser::{Error as _, SerializeMap as _};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::base64;
use crate::canonical_json::{self, DUPLICATE_MEMBER};

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
    /// The names and the values of the members, each name right before its value. One piece of
    /// memory for all of them: most contents are only read, and soon dropped.
    text: String,
    /// In the order of their names.
    members: Vec<Member>,
}

/// Where a member lies in the text of a [`Content`].
#[derive(Clone, Copy)]
struct Member {
    name: usize,
    value: usize,
    end: usize,
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
        match Self::parse(json) {
            Ok(content) if !content.values().any(is_too_deep) => Ok(content),
            Err(error) if depth(json) <= Self::MAX_DEPTH => Err(classify(json, &error)),
            _ => Err(ContentError::TooDeep),
        }
    }

    /// The largest content that is read: 1 MiB of JSON text.
    pub const MAX_BYTES: usize = 1024 * 1024;
    /// The deepest nesting that is read.
    pub const MAX_DEPTH: usize = 64;

    /// Returns `true` if there is no member: `{}`, which is how account data is deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The JSON text of a member.
    #[must_use]
    pub fn raw(&self, member: &str) -> Option<&str> {
        let place = if self.members.len() <= FEW {
            let is_it = |there: &&Member| there.name_bytes(&self.text) == member.as_bytes();
            self.members.iter().find(is_it)
        } else {
            self.members.get(self.find(member).ok()?)
        };
        place.map(|place| place.value(&self.text))
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
        match self.quoted(member)? {
            Ok(text) if text.contains('\\') => self.get(member).map(|text| text.map(Cow::Owned)),
            text => Some(text.map(Cow::Borrowed)),
        }
    }

    /// The text between the quotes of a member that is a string. Escapes are not decoded.
    pub(crate) fn quoted(&self, member: &str) -> Option<Result<&str, WrongType>> {
        let text = self.raw(member)?.strip_prefix('"');
        Some(
            text.and_then(|text| text.strip_suffix('"'))
                .ok_or(WrongType),
        )
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
        self.members.iter().map(|member| member.name(&self.text))
    }

    /// Sets a member. A value that JSON cannot express is not set.
    pub fn insert(&mut self, member: impl Into<String>, value: &(impl Serialize + ?Sized)) {
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            let member = member.into();
            self.put(&member, raw.get().len(), |text| text.push_str(raw.get()));
        }
    }

    /// Sets a member to the unpadded base64 of bytes.
    pub(crate) fn insert_base64(&mut self, member: &str, bytes: &[u8]) {
        let size = base64::encoded_len(bytes.len()) + 2;
        self.put(member, size, |text| {
            text.push('"');
            base64::encode_into(bytes, text);
            text.push('"');
        });
    }

    /// Room for that many members with names and values of that many bytes.
    pub(crate) fn with_capacity(members: usize, bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            members: Vec::with_capacity(members),
        }
    }

    /// Removes a member, and says whether it was there.
    pub fn remove(&mut self, member: &str) -> bool {
        let Ok(index) = self.find(member) else {
            return false;
        };
        let gone = self.members.remove(index);
        self.text.drain(gone.name..gone.end);
        for member in &mut self.members {
            if member.name > gone.name {
                member.move_back(gone.end - gone.name);
            }
        }
        true
    }

    /// The JSON text of the whole object.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Reserved in full: a large member is copied once.
        let mut json = String::with_capacity(2 + self.text.len() + 4 * self.members.len());
        json.push('{');
        for member in &self.members {
            if json.len() > 1 {
                json.push(',');
            }
            canonical_json::append_string(&mut json, member.name(&self.text));
            json.push(':');
            json.push_str(member.value(&self.text));
        }
        json.push('}');
        json
    }

    /// Returns `true` if both say the same, whatever the order of members, white space and escapes.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        canonical_json::is_same(&self.to_json(), &other.to_json())
    }

    fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let bytes = json.len();
        let content = deserializer.deserialize_map(Members::<&RawValue>::of(bytes))?;
        deserializer.end().map(|()| content)
    }

    fn values(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|member| member.value(&self.text))
    }

    /// The index of a member, or where it would be.
    fn find(&self, member: &str) -> Result<usize, usize> {
        self.members
            .binary_search_by(|there| there.name_bytes(&self.text).cmp(member.as_bytes()))
    }

    /// Sets a member to the JSON text of about that many bytes that `write` appends.
    fn put(&mut self, member: &str, size: usize, write: impl FnOnce(&mut String)) {
        self.remove(member);
        let index = self.find(member).unwrap_or_else(|index| index);
        self.text.reserve(member.len() + size);
        let place = Member::append(&mut self.text, member, write);
        self.members.insert(index, place);
    }
}

impl Member {
    fn append(text: &mut String, name: &str, write: impl FnOnce(&mut String)) -> Self {
        let start = text.len();
        text.push_str(name);
        let value = text.len();
        write(text);
        Self {
            name: start,
            value,
            end: text.len(),
        }
    }

    fn name(self, text: &str) -> &str {
        text.get(self.name..self.value).unwrap_or_default()
    }

    /// Text is ordered by its bytes.
    fn name_bytes(self, text: &str) -> &[u8] {
        let bytes = text.as_bytes();
        bytes.get(self.name..self.value).unwrap_or_default()
    }

    fn value(self, text: &str) -> &str {
        text.get(self.value..self.end).unwrap_or_default()
    }

    fn move_back(&mut self, bytes: usize) {
        self.name -= bytes;
        self.value -= bytes;
        self.end -= bytes;
    }
}

/// Why a text is not the content of an account-data event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// An object has a duplicate member.
    #[error("has a duplicate member")]
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
    /// Account data with more than [`AccountData::MAX_EVENTS`](crate::AccountData::MAX_EVENTS).
    #[error("holds more than {MAX_EVENTS} events")]
    TooManyEvents,
}

crate::error_code::error_codes! {
    ContentError:
    Self::DuplicateMember { .. } => "content_duplicate_member",
    Self::NotAnObject { .. } => "content_not_an_object",
    Self::NotJson { .. } => "content_not_json",
    Self::TooDeep { .. } => "content_too_deep",
    Self::TooLarge { .. } => "content_too_large",
    Self::TooManyEvents { .. } => "content_too_many_events",
}

/// A member is there but has another JSON type than belongs there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has the wrong JSON type")]
pub struct WrongType;

crate::error_code::error_codes! {
    WrongType:
    Self { .. } => "wrong_type",
}

impl fmt::Debug for Content {
    /// Names the members and leaves their values out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.members()).finish()
    }
}

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (name, value) in self.members().zip(self.values()) {
            let raw: &RawValue = serde_json::from_str(value).map_err(S::Error::custom)?;
            map.serialize_entry(name, raw)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not every deserializer can lend the text of a value.
        deserializer.deserialize_map(Members::<Box<RawValue>>::of(0))
    }
}

struct Members<Value> {
    bytes: usize,
    value: PhantomData<Value>,
}

impl<Value> Members<Value> {
    /// Of a text of that many bytes.
    fn of(bytes: usize) -> Self {
        let value = PhantomData;
        Self { bytes, value }
    }
}

impl<'de, Value: Deserialize<'de> + Deref<Target = RawValue>> Visitor<'de> for Members<Value> {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let Content {
            mut text,
            mut members,
        } = Content::with_capacity(4, self.bytes);
        while let Some((Name(name), raw)) = map.next_entry::<Name<'de>, Value>()? {
            members.push(Member::append(&mut text, &name, |text| {
                text.push_str(raw.get());
            }));
        }
        let name = |member: &Member| member.name_bytes(&text);
        if !members.is_sorted_by(|left, right| name(left) < name(right)) {
            members.sort_unstable_by(|left, right| name(left).cmp(name(right)));
            let mut names = members.iter().map(name);
            if names.clone().skip(1).any(|name| names.next() == Some(name)) {
                return Err(A::Error::custom(DUPLICATE_MEMBER));
            }
        }
        Ok(Content { text, members })
    }
}

/// The name of a member, copied only when it is written with escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// As many members are looked through faster than searched.
const FEW: usize = 8;

/// The most events of account data that are read.
pub(crate) const MAX_EVENTS: usize = 20_000;

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

/// Returns `true` if a value of a member is nested too deep.
fn is_too_deep(value: &str) -> bool {
    // What has few brackets cannot be deep, and counting them is much faster.
    value.starts_with(['{', '['])
        && brackets(value) >= Content::MAX_DEPTH
        && depth(value) >= Content::MAX_DEPTH
}

/// An upper bound of the number of arrays and objects: brackets in strings count too.
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

/// The depth of nesting of arrays and objects; meaningless for text that is not JSON.
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

    // shows: LIB-16
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
    fn members_are_found_in_every_order_and_after_every_change() {
        let mut content = Content::from_json(r#"{"b":[2],"\u0061":"1","é":{},"c":null}"#).unwrap();
        assert_eq!(content.to_json(), r#"{"a":"1","b":[2],"c":null,"é":{}}"#);
        assert!(content.remove("b") && !content.remove("b"));
        content.insert("é", &3);
        content.insert("aa", "x");
        content.insert("a", "longer than before");
        assert_eq!(content.raw("c"), Some("null"));
        assert_eq!(content.members().collect::<Vec<_>>(), ["a", "aa", "c", "é"]);
        assert_eq!(
            content.to_json(),
            r#"{"a":"longer than before","aa":"x","c":null,"é":3}"#
        );
        let json = serde_json::to_string(&content).unwrap();
        assert_eq!(json, content.to_json());
        let many: Content = (0..100).fold(Content::default(), |mut many, number| {
            many.insert(format!("{}", number * 37 % 100), &number);
            many
        });
        let found = |number: usize| {
            many.raw(&format!("{}", number * 37 % 100))
                .map(str::to_owned)
        };
        assert!((0..100).all(|number| found(number) == Some(number.to_string())));
        assert_eq!(many.raw("100"), None);
        let same: Content = serde_json::from_value(serde_json::from_str(&json).unwrap()).unwrap();
        assert_eq!(same.to_json(), json);
    }

    #[test]
    fn a_member_that_is_named_twice_is_found_between_others() {
        for json in [
            r#"{"a":1,"b":2,"\u0061":3}"#,
            r#"{"c":1,"b":2,"a":3,"b":4}"#,
            r#"{"a":{"x":[[[]]]},"b":2,"b":3}"#,
        ] {
            assert_eq!(
                Content::from_json(json).unwrap_err(),
                ContentError::DuplicateMember,
                "{json}"
            );
        }
    }

    #[test]
    fn depth_is_counted_in_arrays_and_objects_only() {
        let nested = |levels: usize| {
            let json = format!(
                r#"{{"s":"{}","a":{}{}}}"#,
                "[".repeat(100),
                "[".repeat(levels),
                "]".repeat(levels)
            );
            Content::from_json(&json).map(|_| ())
        };
        assert_eq!(nested(Content::MAX_DEPTH - 1), Ok(()));
        assert_eq!(nested(Content::MAX_DEPTH), Err(ContentError::TooDeep));
        for json in [
            "[".repeat(65),
            format!("{}{}", "[".repeat(65), "]".repeat(65)),
        ] {
            assert_eq!(
                Content::from_json(&json).unwrap_err(),
                ContentError::TooDeep
            );
        }
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
