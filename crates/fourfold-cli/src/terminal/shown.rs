//! The door for text: whatever is printed, asked or logged is one of these, and nothing else is.
//!
//! A homeserver, or somebody who wrote there, chooses names, IDs, addresses and the words of errors.
//! Wherever such a text came into a message, it cannot begin a line of its own, move the cursor,
//! change the direction of what follows, or hide.

use std::fmt::{self, Display, Write as _};

use fourfold_client::{escape_json, escape_line, to_wiped_json, to_wiped_json_pretty};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// One line of visible characters.
pub(crate) struct Line(Zeroizing<String>);

impl Line {
    /// Of anything: what is not visible in it is escaped, ends of lines included.
    pub(crate) fn of(text: impl Display) -> Self {
        Self(Zeroizing::new(escape_line(&wiped(text))))
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
        Self::from(to_wiped_json(value))
    }

    /// For people, in many lines.
    pub(crate) fn pretty(value: &impl Serialize) -> Result<Self> {
        Self::from(to_wiped_json_pretty(value))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn from(json: Option<Zeroizing<Vec<u8>>>) -> Result<Self> {
        let inexpressible = || Error::usage("this cannot be expressed in JSON");
        let json = json.ok_or_else(inexpressible)?;
        let json = std::str::from_utf8(&json).map_err(Error::usage)?;
        Ok(Self(Zeroizing::new(escape_json(json))))
    }
}

/// A text in memory that is wiped: the only way to put a secret into another text.
pub(crate) fn wiped(text: impl Display) -> Zeroizing<String> {
    // Measured first: growing would leave pieces of it behind in memory.
    let mut size = Size(0);
    let _ = write!(size, "{text}");
    let mut wiped = Zeroizing::new(String::with_capacity(size.0));
    // Writing to a string does not go wrong.
    let _ = write!(*wiped, "{text}");
    wiped
}

/// Counts what is written.
struct Size(usize);

impl fmt::Write for Size {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
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

    // shows: LIB-21
    #[test]
    fn nothing_that_is_shown_is_copied_while_it_is_written() {
        // In two pieces, so that a text that grows would have been moved.
        let secret = String::from("the secret of many words");
        let text = wiped(format_args!("{secret}\n"));
        assert_eq!(text.as_str(), "the secret of many words\n");
        assert_eq!(text.capacity(), text.len());
        let Line(line) = Line::of("the s\u{200b}cret");
        assert_eq!(line.capacity(), line.len());
        for json in [Json::pretty(&["a\u{9b}"]), Json::compact(&["a\u{9b}"])] {
            let Json(json) = json.unwrap();
            assert_eq!(json.capacity(), json.len());
        }
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
