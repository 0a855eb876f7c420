//! Text that others chose, in messages.

use std::fmt;

/// Text that others chose, for a message: escaped, and cut where nobody would read on.
pub(in crate::health) fn shown(text: impl fmt::Display) -> String {
    let text = text.to_string();
    let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string()
}

const SHOWN_CHARACTERS: usize = 128;
