//! Canonical JSON: the one way to write a JSON value that signatures are made over.
//!
//! [Canonical JSON](https://spec.matrix.org/v1.19/appendices/#canonical-json): members sorted by
//! code point, no white space, the shortest escapes, integers between −(2^53)+1 and (2^53)−1.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Writes a JSON text in its canonical form.
///
/// Integral numbers in another notation (`-0`, `1e10`) are normalised as in the examples of the
/// specification; [signatures](crate::signed_json) are stricter and refuse them.
///
/// # Errors
///
/// [`CanonicalJsonError`]: not JSON, a member twice, or a number that is not an integer in range.
///
/// ```
/// let canonical = fourfold::canonical_json::from_json(r#"{ "b": 2, "a": "\u65E5" }"#)?;
/// assert_eq!(canonical, r#"{"a":"日","b":2}"#);
/// # Ok::<(), fourfold::canonical_json::CanonicalJsonError>(())
/// ```
pub fn from_json(json: &str) -> Result<String, CanonicalJsonError> {
    parse(json)?.write(Numbers::Normalised)
}

/// Why a JSON text has no canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalJsonError {
    /// An object has a duplicate member.
    #[error("has a duplicate member")]
    DuplicateMember,
    /// Not JSON, or a string with half of a surrogate pair.
    #[error("is not JSON")]
    NotJson,
    /// A number that is not an integer between −(2^53)+1 and (2^53)−1.
    #[error("contains a number that canonical JSON does not allow")]
    Number,
}

crate::error_code::error_codes! {
    CanonicalJsonError:
    Self::DuplicateMember { .. } => "canonical_json_duplicate_member",
    Self::NotJson { .. } => "canonical_json_not_json",
    Self::Number { .. } => "canonical_json_number",
}

/// The canonical form of an object without the members that signatures leave out.
pub(crate) fn of_signed(json: &str) -> Result<String, CanonicalJsonError> {
    let mut value = parse(json)?;
    if let Value::Object(members) = &mut value {
        members.remove("signatures");
        members.remove("unsigned");
    }
    value.write(Numbers::Strict)
}

/// Returns `true` if two JSON texts have the same value. Texts that are not clean JSON, or have
/// numbers that were rounded when they were read, must be equal.
pub(crate) fn is_same(left: &str, right: &str) -> bool {
    left == right
        || match (parse(left), parse(right)) {
            (Ok(left), Ok(right)) => left == right,
            _ => false,
        }
}

fn parse(json: &str) -> Result<Value, CanonicalJsonError> {
    serde_json::from_str(json).map_err(|error| {
        if error.to_string().starts_with(DUPLICATE_MEMBER) {
            CanonicalJsonError::DuplicateMember
        } else if serde_json::from_str::<&serde_json::value::RawValue>(json).is_ok()
            && error.to_string().starts_with("number out of range")
        {
            CanonicalJsonError::Number
        } else {
            CanonicalJsonError::NotJson
        }
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Numbers {
    Normalised,
    Strict,
}

enum Value {
    Null,
    Bool(bool),
    /// In range or not: that is decided when it is written.
    Integer(i128),
    Float(f64),
    String(String),
    Array(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(left), Self::Bool(right)) => left == right,
            (Self::Integer(left), Self::Integer(right)) => left == right,
            // Beyond 2^53 two integers can be read as the same number.
            (Self::Float(left), Self::Float(right)) => left == right && left.abs() < LARGEST as f64,
            (Self::String(left), Self::String(right)) => left == right,
            (Self::Array(left), Self::Array(right)) => left == right,
            (Self::Object(left), Self::Object(right)) => left == right,
            _ => false,
        }
    }
}

impl Value {
    fn write(&self, numbers: Numbers) -> Result<String, CanonicalJsonError> {
        let mut text = String::new();
        self.append(&mut text, numbers)?;
        Ok(text)
    }

    fn append(&self, text: &mut String, numbers: Numbers) -> Result<(), CanonicalJsonError> {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(true) => text.push_str("true"),
            Self::Bool(false) => text.push_str("false"),
            Self::Integer(number) => append_integer(text, *number)?,
            Self::Float(number) => {
                if numbers == Numbers::Strict || number.fract() != 0.0 || number.abs() > 1e16 {
                    return Err(CanonicalJsonError::Number);
                }
                #[expect(clippy::cast_possible_truncation, reason = "integral and below 2^54")]
                append_integer(text, *number as i128)?;
            }
            Self::String(string) => append_string(text, string),
            Self::Array(values) => {
                text.push('[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    value.append(text, numbers)?;
                }
                text.push(']');
            }
            Self::Object(members) => {
                text.push('{');
                for (index, (member, value)) in members.iter().enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    append_string(text, member);
                    text.push(':');
                    value.append(text, numbers)?;
                }
                text.push('}');
            }
        }
        Ok(())
    }
}

/// The beginning of a deserializer's error about a duplicate member.
pub(crate) const DUPLICATE_MEMBER: &str = "duplicate member";

/// The largest integer that canonical JSON allows.
const LARGEST: i64 = (1 << 53) - 1;

fn append_integer(text: &mut String, number: i128) -> Result<(), CanonicalJsonError> {
    if number.abs() > LARGEST.into() {
        return Err(CanonicalJsonError::Number);
    }
    write!(text, "{number}").map_err(|_| CanonicalJsonError::Number)
}

/// `serde_json` writes strings with exactly the escapes of canonical JSON.
pub(crate) fn append_string(text: &mut String, string: &str) {
    if string
        .bytes()
        .any(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        text.push_str(&serde_json::to_string(string).unwrap_or_default());
    } else {
        text.push('"');
        text.push_str(string);
        text.push('"');
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((member, value)) = map.next_entry::<String, Value>()? {
            if members.insert(member, value).is_some() {
                return Err(A::Error::custom(DUPLICATE_MEMBER));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: LIB-15
    #[test]
    fn signing_refuses_numbers_that_are_only_written_like_integers() {
        for number in ["-0", "1e3", "1.0", "9007199254740992", "1e400"] {
            let json = format!("{{\"n\":{number}}}");
            assert_eq!(
                of_signed(&json),
                Err(CanonicalJsonError::Number),
                "{number}"
            );
        }
        assert_eq!(
            of_signed(r#"{"n":9007199254740991}"#).unwrap(),
            r#"{"n":9007199254740991}"#
        );
    }

    #[test]
    fn control_characters_are_escaped_and_nothing_else() {
        let canonical = from_json("\"\\u0000\\u001f\\u007f\\n\\/\\u2028\"").unwrap();
        assert_eq!(canonical, "\"\\u0000\\u001f\u{7f}\\n/\u{2028}\"");
    }
}
