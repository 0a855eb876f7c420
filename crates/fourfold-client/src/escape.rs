//! Making text that somebody else chose safe to show.

use std::fmt::Write as _;

/// Makes untrusted text safe for a terminal or a log: control characters, characters that change
/// the direction of text and characters that cannot be seen become `\u{…}`, and what is longer than
/// 200 characters is cut.
///
/// Names of keys and devices, event types and error messages are chosen by the server or by whoever
/// wrote them there. Escaping twice changes nothing.
///
/// ```
/// use fourfold_client::escape_untrusted;
/// assert_eq!(escape_untrusted("my key"), "my key");
/// assert_eq!(escape_untrusted("\u{1b}[2J"), r"\u{1b}[2J");
/// assert_eq!(escape_untrusted("a\u{202e}b"), r"a\u{202e}b");
/// ```
#[must_use]
pub fn escape_untrusted(text: &str) -> String {
    let mut escaped = String::new();
    let mut length = 0;
    // Where to cut if it turns out to be too long: room for the ellipsis is kept.
    let mut cut = 0;
    for character in text.chars() {
        let start = escaped.len();
        if is_deceptive(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
        length += escaped
            .get(start..)
            .map_or(0, |piece| piece.chars().count());
        if length < MAX_CHARACTERS {
            cut = escaped.len();
        }
        if length > MAX_CHARACTERS {
            escaped.truncate(cut);
            escaped.push('…');
            break;
        }
    }
    escaped
}

/// Makes one line of visible characters of a text, whatever came into it: as
/// [`escape_untrusted`], without a limit.
///
/// ```
/// use fourfold_client::escape_line;
/// assert_eq!(escape_line("one\ntwo"), r"one\u{a}two");
/// ```
#[must_use]
pub fn escape_line(text: &str) -> String {
    let escaped_length = |character: char| match is_deceptive(character) {
        true => character.escape_unicode().len(),
        false => character.len_utf8(),
    };
    // Never grown: what a secret is in leaves no copies behind.
    let mut line = String::with_capacity(text.chars().map(escaped_length).sum());
    for character in text.chars() {
        if is_deceptive(character) {
            line.extend(character.escape_unicode());
        } else {
            line.push(character);
        }
    }
    line
}

/// Writes the characters of a JSON document that are not visible as `\u…`, which means the same. The
/// ends of its lines stay: inside of a text they are escaped already.
///
/// ```
/// use fourfold_client::escape_json;
/// assert_eq!(escape_json("[\"a\u{202e}b\"]"), r#"["a\u202eb"]"#);
/// ```
#[must_use]
pub fn escape_json(json: &str) -> String {
    let is_escaped = |character: char| is_deceptive(character) && character != '\n';
    let escaped_length = |character: char| match is_escaped(character) {
        true => 6 * character.len_utf16(),
        false => character.len_utf8(),
    };
    let mut escaped = String::with_capacity(json.chars().map(escaped_length).sum());
    let mut units = [0; 2];
    for character in json.chars() {
        if is_escaped(character) {
            for unit in character.encode_utf16(&mut units) {
                // Writing to a string does not go wrong.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

const MAX_CHARACTERS: usize = 200;

/// Characters that move the cursor, reorder text, or are not seen.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen, grapheme joiner, Arabic letter mark, Hangul fillers, Khmer inherent
            // vowels, Mongolian selectors and vowel separator
            '\u{AD}' | '\u{34F}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}'
            | '\u{3164}' | '\u{FFA0}' | '\u{FEFF}'
            // Zero width, marks, separators, embeddings, isolates and other format characters
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FFF9}'..='\u{FFFB}'
            // Tags and supplementary variation selectors, which can hide whole texts
            | '\u{E0000}'..='\u{E0FFF}'
        )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn leaves_ordinary_text_alone() {
        for text in ["", "Schlüssel 漢字 🔑", "@alice:example.org", r"a\b \u{1b}"] {
            assert_eq!(escape_untrusted(text), text);
        }
    }

    // shows: LIB-19
    #[test]
    fn shows_what_deceives() {
        assert_eq!(
            escape_untrusted("a\r\n\t\u{7f}\u{9b}1m\u{200b}\u{2066}\u{feff}"),
            r"a\u{d}\u{a}\u{9}\u{7f}\u{9b}1m\u{200b}\u{2066}\u{feff}"
        );
        // The ends of the ranges that move, reorder or hide.
        for character in [
            '\0',
            '\u{1f}',
            '\u{80}',
            '\u{9f}',
            '\u{200b}',
            '\u{200f}',
            '\u{2028}',
            '\u{202e}',
            '\u{2060}',
            '\u{206f}',
            '\u{e0000}',
            '\u{e007f}',
            '\u{e0fff}',
        ] {
            let escaped = escape_untrusted(&character.to_string());
            assert_eq!(escaped, character.escape_unicode().to_string());
        }
    }

    #[test]
    fn cuts_long_text_between_characters() {
        let exact = "é".repeat(200);
        assert_eq!(escape_untrusted(&exact), exact);
        let cut = escape_untrusted(&"é".repeat(201));
        assert_eq!(cut, format!("{}…", "é".repeat(199)));
        // An escape is never cut in the middle.
        let cut = escape_untrusted(&format!("{}\u{202e}abc", "x".repeat(196)));
        assert_eq!(cut, format!("{}…", "x".repeat(196)));
    }

    proptest! {
        // shows: LIB-19
        #[test]
        fn is_bounded_idempotent_and_harmless(text in any::<String>()) {
            let escaped = escape_untrusted(&text);
            prop_assert!(escaped.chars().count() <= MAX_CHARACTERS);
            prop_assert!(!escaped.chars().any(is_deceptive));
            prop_assert_eq!(escape_untrusted(&escaped), escaped);
        }

        #[test]
        fn a_line_is_harmless_and_escaped_once(text in any::<String>()) {
            let line = escape_line(&text);
            prop_assert!(!line.chars().any(is_deceptive));
            prop_assert_eq!(line.capacity(), line.len());
            prop_assert_eq!(escape_line(&line), line);
        }

        #[test]
        fn json_is_harmless_and_means_the_same(text in any::<String>()) {
            for json in [
                serde_json::to_string(&[&text]).unwrap(),
                serde_json::to_string_pretty(&[&text]).unwrap(),
            ] {
                let escaped = escape_json(&json);
                prop_assert!(!escaped.chars().any(|one| is_deceptive(one) && one != '\n'));
                prop_assert_eq!(escaped.capacity(), escaped.len());
                prop_assert_eq!(&escape_json(&escaped), &escaped);
                let read: Vec<String> = serde_json::from_str(&escaped).unwrap();
                prop_assert_eq!(&read[0], &text);
            }
        }
    }
}
