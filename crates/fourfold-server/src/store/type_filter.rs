//! Which types of account data a sync shows: patterns, prepared once and matched many times.

use std::collections::HashSet;
use std::sync::Arc;

use ruma::api::client::filter::FilterDefinition;

/// Which types of account data a sync shows. Cheap to clone.
///
/// A `limit` is not applied: each type appears once with its latest content, and one that was cut
/// off would never come again.
#[derive(Clone, Debug, Default)]
pub(crate) struct TypeFilter(Option<Arc<Lists>>);

/// Without a list of types, all types are meant.
#[derive(Debug)]
struct Lists {
    types: Option<Patterns>,
    not_types: Patterns,
}

impl TypeFilter {
    /// Prepares the definition of a filter.
    ///
    /// # Errors
    ///
    /// Why it is none, or why it would cost too much.
    pub(crate) fn prepare(definition: &[u8]) -> Result<Self, &'static str> {
        let definition = serde_json::from_slice(definition);
        Self::of(&definition.map_err(|_| "the filter is malformed")?)
    }

    /// Prepares a filter.
    ///
    /// # Errors
    ///
    /// Why it would cost too much.
    pub(crate) fn of(definition: &FilterDefinition) -> Result<Self, &'static str> {
        let types = definition.account_data.types.as_deref();
        let not_types = definition.account_data.not_types.as_slice();
        if types.is_none() && not_types.is_empty() {
            return Ok(Self(None));
        }
        check(types.unwrap_or_default(), not_types)?;
        Ok(Self(Some(Arc::new(Lists {
            types: types.map(Patterns::new),
            not_types: Patterns::new(not_types),
        }))))
    }

    /// Returns `true` if events of this type are shown.
    pub(crate) fn shows(&self, event_type: &str) -> bool {
        self.0.as_ref().is_none_or(|lists| {
            let wanted = lists.types.as_ref();
            wanted.is_none_or(|types| types.match_any(event_type))
                && !lists.not_types.match_any(event_type)
        })
    }
}

/// Refuses patterns that would cost more than any client has a use for.
fn check(types: &[String], not_types: &[String]) -> Result<(), &'static str> {
    if types.len() + not_types.len() > MAX_PATTERNS {
        return Err("the filter has more than 1,000 types");
    }
    let mut stars = 0;
    for pattern in types.iter().chain(not_types) {
        if pattern.len() > MAX_PATTERN {
            return Err("a type in the filter is longer than 255 bytes");
        }
        stars += pattern.trim_end_matches('*').matches('*').count();
    }
    if stars > MAX_INNER_STARS {
        return Err("the filter has more than 32 wildcards that are not at the end of a type");
    }
    Ok(())
}

/// Patterns in which each `*` stands for any characters. What one event costs grows with the length
/// of its type and not with the number of patterns: names are looked up, prefixes are searched for
/// in their order, and of the others there are few.
#[derive(Debug)]
struct Patterns {
    names: HashSet<Box<str>>,
    /// In order, and none of them begins with another.
    prefixes: Vec<Box<str>>,
    others: Vec<Glob>,
}

impl Patterns {
    fn new(patterns: &[String]) -> Self {
        let mut prepared = Self {
            names: HashSet::new(),
            prefixes: Vec::new(),
            others: Vec::new(),
        };
        for pattern in patterns {
            let rest = pattern.trim_end_matches('*');
            if rest.contains('*') {
                prepared.others.extend(Glob::new(pattern));
            } else if rest.len() < pattern.len() {
                prepared.prefixes.push(rest.into());
            } else {
                prepared.names.insert(rest.into());
            }
        }
        prepared.prefixes.sort_unstable();
        // In this order those that begin with a prefix come right after it.
        prepared
            .prefixes
            .dedup_by(|next, kept| next.starts_with(&**kept));
        prepared
    }

    fn match_any(&self, text: &str) -> bool {
        self.names.contains(text)
            || self.has_prefix_of(text)
            || self.others.iter().any(|glob| glob.matches(text))
    }

    /// Only the last prefix that is not after the text can be its beginning: one between a beginning
    /// and the text would begin with that beginning itself.
    fn has_prefix_of(&self, text: &str) -> bool {
        let after = self.prefixes.partition_point(|prefix| **prefix <= *text);
        let last = after.checked_sub(1).and_then(|at| self.prefixes.get(at));
        last.is_some_and(|prefix| text.starts_with(&**prefix))
    }
}

/// A pattern with a `*` that is not at its end.
#[derive(Debug)]
struct Glob {
    first: Box<str>,
    between: Vec<Box<str>>,
    last: Box<str>,
}

impl Glob {
    fn new(pattern: &str) -> Option<Self> {
        let (first, rest) = pattern.split_once('*')?;
        let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        // Stars beside each other are one.
        let between = between.split('*').filter(|part| !part.is_empty());
        Some(Self {
            first: first.into(),
            between: between.map(Into::into).collect(),
            last: last.into(),
        })
    }

    fn matches(&self, text: &str) -> bool {
        let text = text.strip_prefix(&*self.first);
        let Some(mut text) = text.and_then(|text| text.strip_suffix(&*self.last)) else {
            return false;
        };
        for part in &self.between {
            // The first match leaves the most for the others.
            let Some(at) = text.find(&**part) else {
                return false;
            };
            text = text.get(at + part.len()..).unwrap_or_default();
        }
        true
    }
}

/// Types in a filter, wanted and not wanted together.
const MAX_PATTERNS: usize = 1_000;

/// The limit of an event type.
const MAX_PATTERN: usize = 255;

/// Wildcards that are not at the end of their type, in all types of a filter.
const MAX_INNER_STARS: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn prepare(account_data: &serde_json::Value) -> Result<TypeFilter, &'static str> {
        TypeFilter::prepare(
            json!({ "account_data": account_data })
                .to_string()
                .as_bytes(),
        )
    }

    fn matches(pattern: &str, text: &str) -> bool {
        prepare(&json!({ "types": [pattern] })).unwrap().shows(text)
    }

    /// The meaning of a pattern, one byte after the other.
    fn means(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| means(rest, &text[at..])),
            Some((byte, rest)) => text.first() == Some(byte) && means(rest, &text[1..]),
        }
    }

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, expected) in [
            ("m.direct", "m.direct", true),
            ("m.direct", "m.directs", false),
            ("m.*", "m.direct", true),
            ("m.*", "m.", true),
            ("*", "", true),
            ("*.key.*", "m.secret_storage.key.abc", true),
            ("*.key.*", "m.key", false),
            ("m.*.a*b", "m.x.ab", true),
            ("m.*a", "m.a.b", false),
            ("a*a", "a", false),
            ("**", "x", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn any_patterns_together_match_what_one_of_them_means(
            patterns in proptest::collection::vec("[ab*é]{0,6}", 0..8),
            texts in proptest::collection::vec("[abé]{0,8}", 1..20),
        ) {
            let inner = |it: &String| it.trim_end_matches('*').matches('*').count();
            prop_assume!(patterns.iter().map(inner).sum::<usize>() <= MAX_INNER_STARS);
            let shown = prepare(&json!({ "types": patterns })).unwrap();
            let hidden = prepare(&json!({ "not_types": patterns })).unwrap();
            for text in texts {
                let mut each = patterns.iter();
                let any = each.any(|pattern| means(pattern.as_bytes(), text.as_bytes()));
                prop_assert_eq!(shown.shows(&text), any, "{}", text);
                prop_assert_eq!(hidden.shows(&text), !any, "{}", text);
            }
        }
    }

    #[test]
    fn exclusion_wins() {
        let filter = prepare(&json!({ "types": ["m.*"], "not_types": ["m.a*"] })).unwrap();
        assert!(filter.shows("m.b") && !filter.shows("m.ab") && !filter.shows("x"));
    }

    #[test]
    fn no_types_are_none_and_absent_ones_are_all() {
        assert!(!prepare(&json!({ "types": [] })).unwrap().shows("m.a"));
        assert!(TypeFilter::prepare(b"{}").unwrap().shows("m.a"));
    }

    // shows: SRV-10
    #[test]
    fn what_matching_costs_has_a_bound_in_every_dimension() {
        let names = |count: usize| (0..count).map(|n| format!("m.{n}")).collect::<Vec<_>>();
        for list in ["types", "not_types"] {
            prepare(&json!({ list: names(1_000) })).unwrap();
            prepare(&json!({ list: names(1_001) })).unwrap_err();
            prepare(&json!({ list: ["x".repeat(255)] })).unwrap();
            prepare(&json!({ list: ["x".repeat(256)] })).unwrap_err();
            prepare(&json!({ list: [format!("{}x", "*a".repeat(32))] })).unwrap();
            prepare(&json!({ list: [format!("{}x", "*a".repeat(33))] })).unwrap_err();
        }
        prepare(&json!({ "types": names(600), "not_types": names(600) })).unwrap_err();
        // At the end they are prefixes, which cost no more for being many.
        let prefixes: Vec<_> = names(1_000).iter().map(|name| format!("{name}*")).collect();
        let filter = prepare(&json!({ "types": prefixes })).unwrap();
        let types = filter
            .0
            .as_ref()
            .and_then(|lists| lists.types.as_ref())
            .unwrap();
        assert!(types.others.is_empty() && types.names.is_empty());
        // `m.1*` stands for `m.10*` and all others that begin with it.
        assert_eq!(types.prefixes.len(), 10);
        assert!(filter.shows("m.999x") && !filter.shows("m.x"));
    }
}
