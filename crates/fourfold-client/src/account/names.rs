//! Lists of names in an answer, of which a few matter.

use std::fmt;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The first names of a list. A list of short names would take many times the memory of its text.
#[derive(Debug, Default)]
pub(crate) struct Names {
    first: Vec<String>,
    /// Whether there were more.
    are_more: bool,
}

impl Names {
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Returns `true` if the list has this name, or may have it: of a list that is too long, nobody
    /// knows.
    pub(crate) fn may_have(&self, name: &str) -> bool {
        self.are_more || self.first.iter().any(|one| one == name)
    }

    /// Returns `true` if the name is among the first.
    pub(crate) fn have(&self, name: &str) -> bool {
        self.first.iter().any(|one| one == name)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Names, A::Error> {
        let mut names = Names::default();
        while names.first.len() < MAX_NAMES {
            match sequence.next_element()? {
                None => return Ok(names),
                Some(name) => names.first.push(name),
            }
        }
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            names.are_more = true;
        }
        Ok(names)
    }
}

/// The maximum number of names of a list that are kept.
const MAX_NAMES: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    // shows: LIB-22
    #[test]
    fn a_long_list_is_cut_and_may_have_any_name() {
        let list = |number: usize| {
            let names: Vec<_> = (0..number).map(|number| format!("@{number}")).collect();
            serde_json::from_str::<Names>(&serde_json::to_string(&names).unwrap()).unwrap()
        };
        let (short, long) = (list(MAX_NAMES), list(MAX_NAMES + 1));
        assert!(short.may_have("@999") && !short.may_have("@1000"));
        assert!(long.may_have("@1000") && long.may_have("@never"));
        assert!(!long.have("@1000") && long.have("@999"));
        assert_eq!(long.first.len(), MAX_NAMES);
        assert!(list(0).is_empty() && !short.is_empty());
    }
}
