//! A plan as a person is shown it: what is the same for many secrets in one line, and IDs as short as
//! they can be.

use std::collections::BTreeSet;

use fourfold::plan::{Action, Step};
use fourfold::{KeyId, Plan};
use fourfold_client::escape_untrusted;

/// The lines of a plan; all of its steps one by one, with whole IDs, when it is `verbose`.
pub(super) fn lines(plan: &Plan, verbose: bool) -> Vec<String> {
    let ids = if verbose { Vec::new() } else { short_ids(plan) };
    let short = |text: &str| escape_untrusted(&shortened(text, &ids));
    let mut lines = vec![format!("plan: {}", short(&plan.title))];
    let (mut number, mut is_grouped) = (0, false);
    for group in groups(&plan.steps, verbose) {
        let first = number + 1;
        number += group.steps.len();
        match group.steps {
            [step] => {
                lines.push(format!("  {first}. {}", short(&step.reason)));
                lines.push(format!("     {}", short(&step.action.to_string())));
            }
            _ => {
                is_grouped = true;
                lines.push(format!("  {first}.-{number}. {}", short(&group.reason)));
            }
        }
    }
    lines.extend(
        warnings(&plan.warnings, verbose)
            .iter()
            .map(|warning| format!("  note: {}", short(warning))),
    );
    if is_grouped {
        lines.push("  (-v lists every step)".to_owned());
    }
    lines
}

/// Steps that do the same to one secret after the other.
struct Group<'a> {
    steps: &'a [Step],
    reason: String,
}

fn groups(steps: &[Step], verbose: bool) -> Vec<Group<'_>> {
    let mut groups = Vec::new();
    let mut rest = steps;
    while let Some(first) = rest.first() {
        let same = rest
            .iter()
            .take_while(|step| verb(step).is_some() && verb(step) == verb(first))
            .count();
        let size = if verbose || same < MANY { 1 } else { same };
        let (group, others) = rest.split_at(size);
        let reason = verb(first).map(|verb| verb.replacen(NAME, &format!("{size} secrets"), 1));
        groups.push(Group {
            steps: group,
            reason: reason.unwrap_or_default(),
        });
        rest = others;
    }
    groups
}

/// The reason of a step without the name of the secret that it is about.
fn verb(step: &Step) -> Option<String> {
    match &step.action {
        Action::PutAccountData(put) => {
            let name = &put.event_type;
            let (within, instead) = (format!(" {name} "), format!(" {NAME} "));
            match step.reason.strip_prefix(name.as_str()) {
                Some(rest) if rest.starts_with(' ') => Some(format!("{NAME}{rest}")),
                _ if step.reason.contains(&within) => {
                    Some(step.reason.replacen(&within, &instead, 1))
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// Warnings that differ in their first word only, which is the name of a secret, are one.
fn warnings(warnings: &[String], verbose: bool) -> Vec<String> {
    let mut shown = Vec::new();
    let mut rest = warnings;
    while let Some(first) = rest.first() {
        let tail = |warning: &String| warning.split_once(' ').map(|(_, tail)| tail.to_owned());
        let same = rest
            .iter()
            .take_while(|warning| tail(warning) == tail(first))
            .count();
        let size = if verbose || same < MANY { 1 } else { same };
        let (group, others) = rest.split_at(size);
        shown.push(match group {
            [one] => one.clone(),
            _ => format!(
                "{first} (and {} more secrets: the same)",
                group.len().saturating_sub(1)
            ),
        });
        rest = others;
    }
    shown
}

/// The IDs of the keys that a plan is about, each with its beginning that no other one has.
fn short_ids(plan: &Plan) -> Vec<(String, String)> {
    let mut ids = BTreeSet::new();
    for put in plan.account_data() {
        ids.extend(KeyId::from_event_type(&put.event_type));
        if let Some(Ok(id)) = put.content.get::<KeyId>("key") {
            ids.insert(id);
        }
        if let Some(Ok(encrypted)) = put.content.object("encrypted") {
            ids.extend(encrypted.members().filter_map(|id| KeyId::new(id).ok()));
        }
    }
    let begins = |id: &KeyId, length| id.as_str().chars().take(length).collect::<String>();
    let is_long = |id: &KeyId| id.as_str().chars().count() > 2 * SHORT;
    let mut short = Vec::new();
    for id in ids.iter().filter(|id| is_long(id)) {
        let beginning = begins(id, SHORT);
        if ids
            .iter()
            .filter(|other| begins(other, SHORT) == beginning)
            .count()
            == 1
        {
            short.push((id.as_str().to_owned(), format!("{beginning}\u{2026}")));
        }
    }
    short
}

fn shortened(text: &str, ids: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (id, short) in ids {
        // The type of an event is named as a whole.
        let prefix = format!("{KEY}{id}");
        text = text
            .split(&prefix)
            .map(|part| part.replace(id, short))
            .collect::<Vec<_>>()
            .join(&prefix);
    }
    text
}

/// What stands in place of the name of a secret; no name has it.
const NAME: &str = "\u{0}";

/// The beginning of the type of an event that describes a key.
const KEY: &str = "m.secret_storage.key.";

/// From how many on they are told together.
const MANY: usize = 4;

/// The number of characters of a short ID.
const SHORT: usize = 8;

#[cfg(test)]
mod tests {
    use fourfold::plan::{self, Destination, WritingKey};
    use fourfold::{AccountData, NewKey, Secret, SecretName, SecretStorage};

    use super::*;
    use crate::keys::random::rng;

    /// A rotation of a key that opens so many secrets, and the IDs of both keys.
    fn rotation(number: usize) -> (Plan, String, String) {
        let (old, new) = (
            NewKey::random(None, &mut rng()),
            NewKey::random(None, &mut rng()),
        );
        let mut data = AccountData::default();
        let set_up = plan::set_up(&SecretStorage::new(&data), &old).unwrap();
        set_up.apply_to(&mut data);
        for number in 0..number {
            let name = SecretName::new(format!("org.example.{number:03}")).unwrap();
            let keys = [WritingKey::Proven(old.key())];
            let storage = SecretStorage::new(&data);
            let secret = Secret::new("value");
            let published_keys = Default::default();
            let plan = plan::store(&storage, &name, &secret, &keys, &published_keys, &mut rng());
            plan.unwrap().apply_to(&mut data);
        }
        let (storage, to) = (SecretStorage::new(&data), Destination::New(&new));
        let published_keys = Default::default();
        let plan = plan::rotate(&storage, old.key().key(), to, &published_keys, &mut rng());
        let id = |key: &NewKey| key.key().id().as_str().to_owned();
        (plan.unwrap(), id(&old), id(&new))
    }

    #[test]
    fn many_secrets_are_one_line() {
        let (plan, old, new) = rotation(200);
        let text = lines(&plan, false).join("\n");
        assert!(text.lines().count() < 15, "{text}");
        let new = &new[..8];
        assert!(
            text.contains(&format!("2.-201. encrypt 200 secrets under {new}\u{2026}")),
            "{text}"
        );
        let removed = format!("remove the copy of 200 secrets under {}\u{2026}", &old[..8]);
        assert!(text.contains(&removed), "{text}");
        assert!(text.contains("-v lists every step"), "{text}");
    }

    #[test]
    fn everything_is_listed_when_somebody_wants_it() {
        let (plan, old, _) = rotation(200);
        let text = lines(&plan, true).join("\n");
        assert!(text.lines().count() > 800 && text.contains(&old), "{text}");
        // Few are listed anyway.
        let (plan, _, new) = rotation(3);
        let text = lines(&plan, false).join("\n");
        assert!(text.contains("encrypt org.example.002 under"), "{text}");
        // The type of an event stays whole.
        assert!(
            text.contains(&format!("put m.secret_storage.key.{new}")),
            "{text}"
        );
    }
}
