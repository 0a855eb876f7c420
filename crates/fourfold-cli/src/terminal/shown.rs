//! The door for text: whatever is printed, asked or logged is one of these, and nothing else is.
//!
//! A homeserver, or somebody who wrote there, chooses names, IDs, addresses and the words of errors.
//! Wherever such a text came into a message, it cannot begin a line of its own, move the cursor,
//! change the direction of what follows, or hide.

use std::fmt::Display;

use fourfold_client::{escape_json, escape_line};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// One line of visible characters.
pub(crate) struct Line(Zeroizing<String>);

impl Line {
    /// Of anything: what is not visible in it is escaped, ends of lines included.
    pub(crate) fn of(text: impl Display) -> Self {
        let text = Zeroizing::new(text.to_string());
        Self(Zeroizing::new(escape_line(&text)))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// JSON of visible characters: the others are written as `\u…`, which means the same.
pub(crate) struct Json(Zeroizing<String>);

impl Json {
    /// In one line.
    pub(crate) fn compact(value: &impl Serialize) -> Result<Self> {
        Self::from(serde_json::to_string(value))
    }

    /// For people, in many lines.
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    pub(crate) fn pretty(value: &impl Serialize) -> Result<Self> {
        Self::from(serde_json::to_string_pretty(value))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn from(json: serde_json::Result<String>) -> Result<Self> {
        let json = Zeroizing::new(json.map_err(Error::usage)?);
        Ok(Self(Zeroizing::new(escape_json(&json))))
    }
}

/// A public key in groups of four, as people compare it.
pub(crate) fn fingerprint(key: &str) -> String {
    let characters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = characters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_one_line() {
        let line = Line::of("a\r\nfourfold: forged\u{1b}[2J\u{9b}1m\u{202e}\u{200b}");
        assert_eq!(
            line.as_str(),
            r"a\u{d}\u{a}fourfold: forged\u{1b}[2J\u{9b}1m\u{202e}\u{200b}"
        );
    }

    #[test]
    fn json_means_the_same() {
        let value = json!({"na\u{202e}me": "a\r\n\u{7f}\u{9b}2J\u{200b}\u{e0041}é漢🔑"});
        for json in [
            Json::compact(&value).unwrap(),
            Json::pretty(&value).unwrap(),
        ] {
            let json = json.as_str();
            assert!(
                json.contains(r"\u007f\u009b2J\u200b\udb40\udc41é漢🔑"),
                "{json}"
            );
            let read: serde_json::Value = serde_json::from_str(json).unwrap();
            assert_eq!(read, value);
        }
    }
}
