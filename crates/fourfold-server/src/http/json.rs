//! Is this a JSON object that may be stored and given back byte for byte?
//!
//! Anyone who reads it later may use another parser. So what parsers disagree about is refused:
//! members that occur twice, lone surrogates, numbers that no double can hold, depth without end.
//! Everything else (big integers, `-0`, `1.0`, escapes, `\u0000`, member order) stays exactly as it
//! came.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::http::error::MatrixError;

/// Refuses what is not a JSON object, or one that is deeper than `deepest` or repeats a member.
pub(crate) fn check_object(text: &[u8], deepest: usize) -> Result<(), MatrixError> {
    let fault = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let check = Check {
        levels: deepest,
        fault: &fault,
    };
    let kind = check.deserialize(&mut deserializer).and_then(|kind| {
        deserializer.end()?;
        Ok(kind)
    });
    match (kind, fault.take()) {
        (Ok(Kind::Object), _) => Ok(()),
        (Ok(Kind::Other), _) => Err(MatrixError::BadJson("the body is not a JSON object".into())),
        (Err(_), Some(fault)) => Err(MatrixError::BadJson(fault.into())),
        (Err(_), None) => Err(MatrixError::NotJson),
    }
}

/// Writes text as a JSON string.
pub(crate) fn write_string(body: &mut Vec<u8>, text: &str) -> Result<(), MatrixError> {
    serde_json::to_writer(body, text).map_err(|error| {
        tracing::error!(%error, "a string cannot be serialised");
        MatrixError::Internal
    })
}

#[derive(Clone, Copy)]
struct Check<'f> {
    levels: usize,
    fault: &'f Cell<Option<&'static str>>,
}

impl<'f> Check<'f> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let Some(levels) = self.levels.checked_sub(1) else {
            return Err(self.refuse("the body is nested too deeply"));
        };
        Ok(Check { levels, ..self })
    }

    fn refuse<E: Error>(self, fault: &'static str) -> E {
        self.fault.set(Some(fault));
        E::custom(fault)
    }
}

enum Kind {
    Object,
    Other,
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Kind, E> {
        Ok(Kind::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let item = self.deeper()?;
        while items.next_element_seed(item)?.is_some() {}
        Ok(Kind::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kind, A::Error> {
        let value = self.deeper()?;
        let mut names = Names::default();
        while let Some(name) = members.next_key_seed(Name)? {
            if !names.insert(name) {
                return Err(self.refuse("the body has a duplicate member"));
            }
            members.next_value_seed(value)?;
        }
        Ok(Kind::Object)
    }
}

/// The members of one object: most have a few, some have very many.
#[derive(Default)]
struct Names<'de> {
    few: Vec<Cow<'de, str>>,
    many: HashSet<Cow<'de, str>>,
}

impl<'de> Names<'de> {
    fn insert(&mut self, name: Cow<'de, str>) -> bool {
        if self.few.len() < FEW {
            let fresh = !self.few.contains(&name);
            self.few.push(name);
            return fresh;
        }
        !self.few.contains(&name) && self.many.insert(name)
    }
}

/// A member's name, borrowed where the text has no escapes in it.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(name))
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(name.to_owned()))
    }
}

const FEW: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn errcode(text: &str) -> &'static str {
        check_object(text.as_bytes(), 64).map_or_else(|error| error.code().1, |()| "ok")
    }

    #[test]
    fn accepts_what_every_parser_reads_alike() {
        for text in [
            "{}",
            " {} ",
            r#"{"a":9007199254740993,"b":-0,"c":1.0,"d":1e5,"e":"\u0000é😀","f":[null,true]}"#,
            r#"{"a":123456789012345678901234567890}"#,
        ] {
            assert_eq!(errcode(text), "ok", "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_object() {
        for text in ["[]", "1", "\"a\"", "null", "[{}]", "true"] {
            assert_eq!(errcode(text), "M_BAD_JSON", "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_json() {
        for text in [
            "",
            " ",
            "{",
            "{}x",
            "{}{}",
            "\u{feff}{}",
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e400}"#,
        ] {
            assert_eq!(errcode(text), "M_NOT_JSON", "{text}");
        }
        assert!(matches!(
            check_object(b"{\"a\":\"\xff\"}", 64),
            Err(MatrixError::NotJson)
        ));
    }

    #[test]
    fn refuses_a_member_that_occurs_twice_even_in_disguise() {
        assert_eq!(errcode(r#"{"a":1,"a":1}"#), "M_BAD_JSON");
        assert_eq!(errcode(r#"{"a":1,"\u0061":1}"#), "M_BAD_JSON");
        assert_eq!(errcode(r#"{"x":[{"a":1,"a":1}]}"#), "M_BAD_JSON");
        let many: Vec<_> = (0..100).map(|n| format!("\"{n}\":0")).collect();
        assert_eq!(errcode(&format!("{{{}}}", many.join(","))), "ok");
        assert_eq!(
            errcode(&format!("{{{},\"50\":0}}", many.join(","))),
            "M_BAD_JSON"
        );
        assert_eq!(
            errcode(&format!("{{{},\"5\":0}}", many.join(","))),
            "M_BAD_JSON"
        );
    }

    #[test]
    fn refuses_depth() {
        let nested = |depth: usize| {
            format!(
                "{}{}{}",
                "{\"a\":".repeat(depth - 1),
                "{}",
                "}".repeat(depth - 1)
            )
        };
        assert_eq!(errcode(&nested(64)), "ok");
        assert_eq!(errcode(&nested(65)), "M_BAD_JSON");
        assert_ne!(errcode(&nested(100_000)), "ok");
    }
}
