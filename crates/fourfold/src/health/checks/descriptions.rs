//! What the descriptions of keys say.

use super::remembered::put_description_back;
use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject};
use crate::health::repair::{Remedy, Repair, Requirement};
use crate::health::severity::Severity;
use crate::health::shown::shown;
use crate::{Algorithm, KeyDescription, KeyDescriptionError, KeyId, Quirk};

pub(super) const KEY_DESCRIPTION_MALFORMED: Condition = Condition {
    code: "key-description-malformed",
    severities: &[Severity::Error],
    needs: &[],
    what: "The description of a key that secrets need is not an object, or has members of wrong \
           types.",
    cause: "A client overwrote it with something else.",
    repair: "Put it back from an earlier snapshot, or describe the key again with the key in hand.",
    cost: "Nothing.",
    check: key_description_malformed,
};

fn key_description_malformed(account: &Account<'_>, found: &mut Findings<'_>) {
    for (id, description) in &account.keys {
        let Err(error @ KeyDescriptionError::Content(_)) = description else {
            continue;
        };
        if !is_needed(account, id) {
            continue;
        }
        let message = format!("the key {}: {error}", shown(id.as_str()));
        let finding = found
            .finding(Subject::key(id), message)
            .detail("error", error.code());
        found.add(finding.repairs(ways_to_describe(account, id)));
    }
}

pub(super) const KEY_ALGORITHM_UNSUPPORTED: Condition = Condition {
    code: "key-algorithm-unsupported",
    severities: &[Severity::Error],
    needs: &[],
    what: "The description of a key names no algorithm, or one that is not known.",
    cause: "A newer client created the key, or the description was damaged.",
    repair: "Put the description back from an earlier snapshot, or describe the key again with the \
             key in hand. A key of a newer algorithm needs a newer program.",
    cost: "Nothing.",
    check: key_algorithm_unsupported,
};

fn key_algorithm_unsupported(account: &Account<'_>, found: &mut Findings<'_>) {
    for (id, description) in &account.keys {
        if !is_needed(account, id) {
            continue;
        }
        let key = shown(id.as_str());
        match description {
            Err(KeyDescriptionError::MissingAlgorithm) => {
                let message = format!("the description of the key {key} names no algorithm");
                let finding = found.finding(Subject::key(id), message);
                found.add(finding.repairs(ways_to_describe(account, id)));
            }
            Ok(description) if description.algorithm().is_none() => {
                let name = description.algorithm_name();
                let message = format!("the key {key} uses the unknown algorithm {}", shown(name));
                let finding = found.finding(Subject::key(id), message);
                found.add(finding.detail("algorithm", name.chars().take(255).collect::<String>()));
            }
            _ => {}
        }
    }
}

pub(super) const KEY_ALGORITHM_2019: Condition = Condition {
    code: "key-algorithm-2019",
    severities: &[Severity::Warning],
    needs: &[],
    what: "A key uses the 2019 algorithm, which current clients do not read.",
    cause: "The account was set up before the spring of 2020.",
    repair: "Migrate to a new key of the current algorithm.",
    cost: "A new recovery key. Clients of that time do not read it.",
    check: key_algorithm_2019,
};

fn key_algorithm_2019(account: &Account<'_>, found: &mut Findings<'_>) {
    for (id, description) in readable(account) {
        if description.algorithm() == Some(Algorithm::Curve25519AesSha2) {
            let message = format!("the key {} uses the 2019 algorithm", shown(id.as_str()));
            let repair = Repair::new(Remedy::Migrate(id.clone()));
            found.add(found.finding(Subject::key(id), message).repair(
                if account.keys_at_hand().any(|key| key.id() == id) {
                    repair
                } else {
                    repair.needs(Requirement::Key(id.clone()))
                },
            ));
        }
    }
}

pub(super) const KEY_CHECK_MISSING: Condition = Condition {
    code: "key-check-missing",
    severities: &[Severity::Warning],
    needs: &[],
    what: "The description of a key has no check data, so a wrong key cannot be told from the \
           right one.",
    cause: "The client that created the key wrote none.",
    repair: "Add check data once the key has opened a secret.",
    cost: "Nothing.",
    check: key_check_missing,
};

fn key_check_missing(account: &Account<'_>, found: &mut Findings<'_>) {
    for (id, description) in symmetric(account) {
        let missing: Vec<_> = ["iv", "mac"]
            .into_iter()
            .filter(|member| description.content().raw(member).is_none())
            .collect();
        if !missing.is_empty() {
            let message = format!("the key {} has no check data", shown(id.as_str()));
            let finding = found
                .finding(Subject::key(id), message)
                .detail("missing", missing);
            found.add(finding.repair(new_check(account, id)));
        }
    }
}

pub(super) const KEY_CHECK_MALFORMED: Condition = Condition {
    code: "key-check-malformed",
    severities: &[Severity::Error],
    needs: &[],
    what: "The check data of a key is not an IV of 16 bytes and a MAC of 32.",
    cause: "Nheko wrote IVs of 32 bytes for years. Otherwise the description was damaged.",
    repair: "Write new check data once the key has opened a secret.",
    cost: "Nothing.",
    check: key_check_malformed,
};

fn key_check_malformed(account: &Account<'_>, found: &mut Findings<'_>) {
    for (id, description) in symmetric(account) {
        let is_long = description.quirks().contains(&Quirk::LongIv);
        let wrong = [("iv", 16), ("mac", 32)]
            .into_iter()
            .find(|(member, size)| {
                let text = description.content().text(member);
                text.is_some_and(|text| !has_size(text.as_deref().ok(), *size))
            });
        if let Some((member, _)) = wrong {
            let message = format!(
                "the check data of the key {} is damaged",
                shown(id.as_str())
            );
            let mut finding = found
                .finding(Subject::key(id), message)
                .detail("member", member);
            if is_long {
                finding = finding.cause("the key was created with nheko, which writes longer IVs");
            }
            found.add(finding.repair(new_check(account, id)));
        }
    }
}

pub(super) const BASE64_NOT_CANONICAL: Condition = Condition {
    code: "base64-not-canonical",
    severities: &[Severity::Info],
    needs: &[],
    what: "Base64 is padded or has unused bits that are set. All current clients read it.",
    cause: "Many clients write it that way.",
    repair: "None is needed.",
    cost: "Nothing.",
    check: base64_not_canonical,
};

fn base64_not_canonical(account: &Account<'_>, found: &mut Findings<'_>) {
    let is_it = |quirk: &Quirk| matches!(quirk, Quirk::PaddedBase64 | Quirk::TrailingBits);
    for (id, description) in readable(account) {
        if description.quirks().iter().any(is_it) {
            let message = format!(
                "the description of the key {} has base64 in an unusual form",
                shown(id.as_str())
            );
            found.add(found.finding(Subject::key(id), message));
        }
    }
    for (name, secret) in &account.secrets {
        for id in secret.key_ids() {
            let members = ["ciphertext", "ephemeral", "iv", "mac"];
            let Some(Ok(entry)) = secret.entry(id) else {
                continue;
            };
            if Quirk::of_base64(entry, &members).iter().any(is_it) {
                let message = format!("{} has base64 in an unusual form", shown(name));
                found.add(found.finding(Subject::entry(name, id), message));
            }
        }
    }
}

/// Whether a secret or the default needs a key.
fn is_needed(account: &Account<'_>, id: &KeyId) -> bool {
    account.named_default() == Some(id) || account.is_used(id)
}

pub(super) fn readable<'a>(
    account: &'a Account<'_>,
) -> impl Iterator<Item = (&'a KeyId, &'a KeyDescription)> {
    let keys = account.keys.iter();
    keys.filter_map(|(id, description)| Some((id, description.as_ref().ok()?)))
}

fn symmetric<'a>(
    account: &'a Account<'_>,
) -> impl Iterator<Item = (&'a KeyId, &'a KeyDescription)> {
    readable(account).filter(|(_, key)| key.algorithm() == Some(Algorithm::AesHmacSha2))
}

fn has_size(text: Option<&str>, size: usize) -> bool {
    let decoded = text.and_then(|text| crate::base64::decode(text).ok());
    decoded.is_some_and(|decoded| decoded.bytes.len() == size)
}

fn ways_to_describe(account: &Account<'_>, id: &KeyId) -> Vec<Repair> {
    let put_back = put_description_back(account, id);
    let again = Repair::new(Remedy::DescribeAgain(id.clone()));
    let again = if account.is_certain(id) {
        again
    } else {
        again.needs(Requirement::Key(id.clone()))
    };
    put_back.into_iter().chain([again]).collect()
}

fn new_check(account: &Account<'_>, id: &KeyId) -> Repair {
    with_key(account, id, Remedy::AddKeyCheck(id.clone()))
}

pub(super) fn rotate(account: &Account<'_>, id: &KeyId) -> Repair {
    with_key(account, id, Remedy::RotateKey(id.clone()))
}

fn with_key(account: &Account<'_>, id: &KeyId, remedy: Remedy) -> Repair {
    let repair = Repair::new(remedy);
    if account.has_proven(id) {
        repair
    } else {
        repair.needs(Requirement::Key(id.clone()))
    }
}
