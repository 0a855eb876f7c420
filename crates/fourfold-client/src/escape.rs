//! Making text that somebody else chose safe to show.

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

const MAX_CHARACTERS: usize = 200;

/// Characters that move the cursor, reorder text, or are not seen.
fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            // Soft hyphen, Arabic letter mark, Hangul fillers, Mongolian vowel separator
            '\u{AD}' | '\u{61C}' | '\u{115F}' | '\u{1160}' | '\u{180E}'
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
    }
}
