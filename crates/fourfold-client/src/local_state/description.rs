//! How the description of a key differs from the one that was pinned.

use fourfold::Content;

/// Whether the description became weaker, and what changed, in words; `None` when nothing did.
pub(super) fn difference(pinned: &Content, now: Option<&str>) -> Option<(bool, String)> {
    let Some(Ok(now)) = now.map(Content::from_json) else {
        return Some((false, "it cannot be read any more".to_owned()));
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
        // Whoever types the recovery key could be made to derive a key from it.
        (None, Some(_)) => differences.weaker("a passphrase was added"),
        (Some(_), None) => differences.note("the passphrase is gone"),
        (None, None) => {}
    }
    if differs(pinned, &now, "name") {
        differences.note("another name");
    }
    if differences.words.is_empty() {
        differences.note("other members");
    }
    Some((differences.is_weaker, differences.words.join(", ")))
}

#[derive(Default)]
struct Differences {
    is_weaker: bool,
    words: Vec<String>,
}

impl Differences {
    fn note(&mut self, words: impl Into<String>) {
        self.words.push(words.into());
    }

    fn weaker(&mut self, words: impl Into<String>) {
        self.is_weaker = true;
        self.note(words);
    }
}

fn check_data(pinned: &Content, now: &Content, differences: &mut Differences) {
    let has = |content: &Content| ["iv", "mac"].map(|member| content.raw(member).is_some());
    if has(pinned).contains(&true) && has(now).contains(&false) {
        differences.weaker("the check data is gone");
    } else if differs(pinned, now, "iv") || differs(pinned, now, "mac") {
        differences.note(if has(pinned) == [true, true] {
            "other check data"
        } else {
            "check data was added"
        });
    }
    // Who writes to a key of 2019 encrypts to this.
    if differs(pinned, now, "pubkey") {
        differences.weaker("another public key");
    }
}

fn passphrase(pinned: &Content, now: &Content, differences: &mut Differences) {
    if differs(pinned, now, "salt") {
        differences.weaker("another salt for the passphrase");
    }
    let iterations = |content: &Content| content.get::<u64>("iterations").and_then(Result::ok);
    match (iterations(pinned), iterations(now)) {
        (before, after) if before == after => {}
        (Some(before), Some(after)) => {
            let words = format!("{after} instead of {before} iterations");
            if after < before {
                differences.weaker(words);
            } else {
                differences.note(words);
            }
        }
        _ => differences.weaker("another number of iterations"),
    }
    if differs(pinned, now, "bits") {
        differences.weaker("another size of the key");
    }
    if differs(pinned, now, "algorithm") {
        differences.weaker("another way to derive the key");
    }
}

fn object(content: &Content, member: &str) -> Option<Content> {
    content.object(member)?.ok()
}

/// Compares a member by its value.
fn differs(left: &Content, right: &Content, member: &str) -> bool {
    let value = |content: &Content| content.get::<serde_json::Value>(member);
    match (value(left), value(right)) {
        (None, None) => false,
        (Some(Ok(left)), Some(Ok(right))) => left != right,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PINNED: &str = r#"{"algorithm": "A", "iv": "I", "mac": "M", "name": "N",
        "passphrase": {"algorithm": "m.pbkdf2", "salt": "S", "iterations": 500000}}"#;

    fn difference_after(from: &str, to: &str) -> Option<(bool, String)> {
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
            ("500000", "null", "another number of iterations"),
            ("500000", "\"500000\"", "another number of iterations"),
            ("\"S\"", "\"T\"", "another salt for the passphrase"),
            ("500000", "500000, \"bits\": 8", "another size of the key"),
            ("m.pbkdf2", "m.other", "another way to derive the key"),
            ("\"A\"", "\"B\"", "another algorithm"),
            (r#""iv": "I", "mac": "M","#, "", "the check data is gone"),
            (r#""mac": "M","#, "", "the check data is gone"),
            ("\"N\"", "\"N\", \"pubkey\": \"P\"", "another public key"),
        ] {
            assert_eq!(
                difference_after(from, to),
                Some((true, words.to_owned())),
                "{from}"
            );
        }
    }

    #[test]
    fn other_differences_are_told_and_are_not_weaker() {
        for (from, to, words) in [
            ("500000", "600000", "600000 instead of 500000 iterations"),
            ("\"M\"", "\"L\"", "other check data"),
            ("\"N\"", "\"O\"", "another name"),
            ("\"N\"", "\"N\", \"x\": 1", "other members"),
            ("passphrase", "passphrasf", "the passphrase is gone"),
            (PINNED, "7", "it cannot be read any more"),
        ] {
            assert_eq!(
                difference_after(from, to),
                Some((false, words.to_owned())),
                "{from}"
            );
        }
    }

    #[test]
    fn what_is_added_is_told() {
        let pinned = Content::from_json(r#"{"algorithm": "A"}"#).unwrap();
        let added = r#"{"algorithm": "A", "iv": "I", "mac": "M"}"#;
        assert_eq!(
            difference(&pinned, Some(added)),
            Some((false, "check data was added".to_owned()))
        );
        let added = r#"{"algorithm": "A", "passphrase": {}}"#;
        assert_eq!(
            difference(&pinned, Some(added)),
            Some((true, "a passphrase was added".to_owned()))
        );
    }
}
