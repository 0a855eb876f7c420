//! How the description of a key differs from the one that was remembered.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Content, base64};

/// The kind of change of a key description.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DescriptionChange {
    /// The same private key belongs to it, and it is no easier to guess: another name, a member that
    /// nobody reads, check data where there was none, a passphrase that is gone.
    Noted,
    /// Another private key would belong to it.
    Replaced,
    /// A passphrase became easier to guess, or a wrong key harder to notice.
    Weakened,
}

impl DescriptionChange {
    /// Returns `true` if no client of the user has a reason for it.
    #[must_use]
    pub fn is_suspicious(self) -> bool {
        self != Self::Noted
    }
}

/// The kind of change and a description of it; `None` if nothing changed.
pub(super) fn difference(
    pinned: &Content,
    now: Option<&str>,
) -> Option<(DescriptionChange, String)> {
    let Some(Ok(now)) = now.map(Content::from_json) else {
        let words = "it can no longer be read".to_owned();
        return Some((DescriptionChange::Replaced, words));
    };
    if pinned.is_same(&now) {
        return None;
    }
    let mut differences = Differences::default();
    if differs(pinned, &now, "algorithm") {
        differences.weaker("another algorithm");
    }
    check_data(pinned, &now, &mut differences);
    match (object(pinned, "passphrase"), object(&now, "passphrase")) {
        (Some(pinned), Some(now)) => passphrase(&pinned, &now, &mut differences),
        // Anyone who types the recovery key could be made to derive a key from it.
        (None, Some(_)) => differences.weaker("a passphrase was added"),
        (Some(_), None) => differences.note("the passphrase was removed"),
        (None, None) => {}
    }
    if differs(pinned, &now, "name") {
        differences.note("another name");
    }
    if differences.words.is_empty() {
        differences.note("other members");
    }
    Some((differences.kind, differences.words.join(", ")))
}

/// What of a description makes the key: two with the same belong to the same private key and are as
/// easy to guess.
pub(super) fn substance(description: &Content) -> String {
    let mut substance = Vec::new();
    for member in ["algorithm", "iv", "mac", "pubkey"] {
        substance.push(value(description, member));
    }
    let passphrase = object(description, "passphrase").unwrap_or_default();
    for member in ["algorithm", "salt", "iterations", "bits"] {
        substance.push(value(&passphrase, member));
    }
    Value::Array(substance).to_string()
}

struct Differences {
    kind: DescriptionChange,
    words: Vec<String>,
}

impl Default for Differences {
    fn default() -> Self {
        Self {
            kind: DescriptionChange::Noted,
            words: Vec::new(),
        }
    }
}

impl Differences {
    fn note(&mut self, words: impl Into<String>) {
        self.words.push(words.into());
    }

    fn replaced(&mut self, words: impl Into<String>) {
        self.kind = self.kind.max(DescriptionChange::Replaced);
        self.note(words);
    }

    fn weaker(&mut self, words: impl Into<String>) {
        self.kind = DescriptionChange::Weakened;
        self.note(words);
    }
}

fn check_data(pinned: &Content, now: &Content, differences: &mut Differences) {
    let has = |content: &Content| ["iv", "mac"].map(|member| content.raw(member).is_some());
    if has(pinned).contains(&true) && has(now).contains(&false) {
        differences.weaker("the check data was removed");
    } else if differs(pinned, now, "iv") || differs(pinned, now, "mac") {
        if has(pinned).contains(&true) {
            differences.replaced("different check data");
        } else {
            differences.note("check data was added");
        }
    }
    // Who writes to a key of 2019 encrypts to this.
    if differs(pinned, now, "pubkey") {
        differences.weaker("a different public key");
    }
}

fn passphrase(pinned: &Content, now: &Content, differences: &mut Differences) {
    if differs(pinned, now, "salt") {
        differences.weaker("a different salt for the passphrase");
    }
    let iterations = |content: &Content| content.get::<u64>("iterations").and_then(Result::ok);
    match (iterations(pinned), iterations(now)) {
        (Some(before), Some(after)) => {
            let words = format!("{after} instead of {before} iterations");
            match after.cmp(&before) {
                Ordering::Less => differences.weaker(words),
                Ordering::Equal => {}
                Ordering::Greater => differences.replaced(words),
            }
        }
        (None, None) => {}
        _ => differences.weaker("a different number of iterations"),
    }
    if differs(pinned, now, "bits") {
        differences.weaker("a different key size");
    }
    if differs(pinned, now, "algorithm") {
        differences.weaker("a different key derivation");
    }
}

fn object(content: &Content, member: &str) -> Option<Content> {
    content.object(member)?.ok()
}

/// Compares a member by its value.
fn differs(left: &Content, right: &Content, member: &str) -> bool {
    left.raw(member).is_some() != right.raw(member).is_some()
        || value(left, member) != value(right, member)
}

/// The value of a member; where it is bytes, however they are written.
fn value(content: &Content, member: &str) -> Value {
    match content.get::<Value>(member) {
        None => Value::Null,
        Some(Ok(Value::String(text))) if ["iv", "mac", "pubkey"].contains(&member) => {
            let decoded = base64::decode(&text).map(|decoded| base64::encode(&*decoded.bytes));
            Value::String(decoded.unwrap_or(text))
        }
        Some(Ok(value)) => value,
        // A number beyond all bounds.
        Some(Err(_)) => Value::String(content.raw(member).unwrap_or_default().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINNED: &str = r#"{"algorithm": "A", "iv": "I", "mac": "M", "name": "N",
        "passphrase": {"algorithm": "m.pbkdf2", "salt": "S", "iterations": 500000}}"#;

    fn difference_after(from: &str, to: &str) -> Option<(DescriptionChange, String)> {
        let now = PINNED.replace(from, to);
        assert!(from.is_empty() || now != PINNED, "{from}");
        difference(&Content::from_json(PINNED).unwrap(), Some(&now))
    }

    #[test]
    fn another_text_of_the_same_value_is_no_difference() {
        assert_eq!(difference_after("\"A\", ", "\"\\u0041\" , "), None);
    }

    #[test]
    fn what_makes_guessing_cheaper_is_weaker() {
        for (from, to, words) in [
            ("500000", "499999", "499999 instead of 500000 iterations"),
            ("500000", "1", "1 instead of 500000 iterations"),
            ("500000", "null", "a different number of iterations"),
            ("500000", "\"500000\"", "a different number of iterations"),
            ("\"S\"", "\"T\"", "a different salt for the passphrase"),
            ("500000", "500000, \"bits\": 8", "a different key size"),
            ("m.pbkdf2", "m.other", "a different key derivation"),
            ("\"A\"", "\"B\"", "another algorithm"),
            (
                r#""iv": "I", "mac": "M","#,
                "",
                "the check data was removed",
            ),
            (r#""mac": "M","#, "", "the check data was removed"),
            (
                "\"N\"",
                "\"N\", \"pubkey\": \"P\"",
                "a different public key",
            ),
        ] {
            assert_eq!(
                difference_after(from, to),
                Some((DescriptionChange::Weakened, words.to_owned())),
                "{from}"
            );
        }
    }

    #[test]
    fn a_salt_is_a_text_and_not_the_bytes_that_it_may_stand_for() {
        let of = |salt: &str| format!(r#"{{"passphrase":{{"salt":"{salt}"}}}}"#);
        let pinned = Content::from_json(&of("c2FsdA")).unwrap();
        let words = "a different salt for the passphrase".to_owned();
        assert_eq!(
            difference(&pinned, Some(&of("c2FsdA=="))),
            Some((DescriptionChange::Weakened, words))
        );
    }

    #[test]
    fn what_makes_another_key_is_replaced() {
        for (from, to, words) in [
            ("500000", "600000", "600000 instead of 500000 iterations"),
            ("\"M\"", "\"L\"", "different check data"),
            ("\"I\"", "\"J\"", "different check data"),
            (PINNED, "7", "it can no longer be read"),
        ] {
            assert_eq!(
                difference_after(from, to),
                Some((DescriptionChange::Replaced, words.to_owned())),
                "{from}"
            );
        }
    }

    #[test]
    fn other_differences_are_told_and_not_suspicious() {
        for (from, to, words) in [
            ("\"N\"", "\"O\"", "another name"),
            ("\"N\"", "\"N\", \"x\": 1", "other members"),
            ("passphrase", "passphrasf", "the passphrase was removed"),
        ] {
            assert_eq!(
                difference_after(from, to),
                Some((DescriptionChange::Noted, words.to_owned())),
                "{from}"
            );
        }
        assert!(!DescriptionChange::Noted.is_suspicious());
        assert!(DescriptionChange::Replaced.is_suspicious());
    }

    #[test]
    fn the_substance_is_what_makes_the_key() {
        let of = |json: &str| substance(&Content::from_json(json).unwrap());
        let key = r#"{"algorithm":"A","iv":"AA","mac":"AQ==","name":"N"}"#;
        for same in [
            r#"{"algorithm":"A","iv":"AA==","mac":"AQ","name":"O","x":[1]}"#,
            r#"{"mac":"AR","iv":"AA","algorithm":"\u0041","passphrase":{}}"#,
        ] {
            assert_eq!(of(key), of(same), "{same}");
        }
        for other in [
            r#"{"algorithm":"B","iv":"AA","mac":"AQ"}"#,
            r#"{"algorithm":"A","iv":"AQ","mac":"AQ"}"#,
            r#"{"algorithm":"A","iv":"AA","mac":"AQ","pubkey":"AA"}"#,
            r#"{"algorithm":"A","iv":"AA","mac":"AQ","passphrase":{"iterations":1}}"#,
        ] {
            assert_ne!(of(key), of(other), "{other}");
        }
    }

    #[test]
    fn what_is_added_is_told() {
        let pinned = Content::from_json(r#"{"algorithm": "A"}"#).unwrap();
        let added = r#"{"algorithm": "A", "iv": "I", "mac": "M"}"#;
        assert_eq!(
            difference(&pinned, Some(added)),
            Some((DescriptionChange::Noted, "check data was added".to_owned()))
        );
        let added = r#"{"algorithm": "A", "passphrase": {}}"#;
        assert_eq!(
            difference(&pinned, Some(added)),
            Some((
                DescriptionChange::Weakened,
                "a passphrase was added".to_owned()
            ))
        );
    }
}
