//! What the marks show.

use std::collections::BTreeSet;

use super::marks::Mark;

/// The marks, and for each ID those that name it.
#[derive(Debug, Default)]
pub(super) struct Shown {
    pub(super) marks: Vec<Mark>,
}

impl Shown {
    pub(super) fn of(&self, id: &str) -> impl Iterator<Item = &Mark> {
        self.marks
            .iter()
            .filter(move |mark| mark.ids.iter().any(|named| named == id))
    }

    /// Every ID that is named.
    pub(super) fn ids(&self) -> BTreeSet<&str> {
        let named = self.marks.iter().flat_map(|mark| &mark.ids);
        named.map(String::as_str).collect()
    }
}
