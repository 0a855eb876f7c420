//! What the secrets are that open, compared with each other and with what is published.

use super::ways::{ways_to_store, with_default};
use crate::health::account::{Account, Backup};
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject};
use crate::health::need::Need;
use crate::health::repair::{Remedy, Repair, Requirement};
use crate::health::severity::Severity;
use crate::health::shown::shown;
use crate::secret_kind::is_same_value;
use crate::{
    BackupVersion, OpenedSecret, PublishedKeys, Quirk, SecretName, SecretValueError, Verdict,
};

pub(super) const COPIES_DIFFER: Condition = Condition {
    code: "copies-differ",
    severities: &[Severity::Error],
    needs: &[Need::Key],
    what: "The copies of a secret under several keys open to different values.",
    cause: "A client stored a new value under one key and kept the old copies.",
    repair: "If one of them matches what is published, it replaces the others. Otherwise only the \
             user knows which is right.",
    cost: "The other values are lost.",
    check: copies_differ,
};

fn copies_differ(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in account.secrets.keys() {
        let copies: Vec<_> = account.open_copies(name).collect();
        let Some(((_, first), rest)) = copies.split_first() else {
            continue;
        };
        if rest
            .iter()
            .all(|(_, copy)| is_same_value(name, &first.secret, &copy.secret))
        {
            continue;
        }
        let ids: Vec<_> = copies.iter().map(|(id, _)| id.as_str()).collect();
        let message = format!("the copies of {} differ", shown(name));
        let finding = found
            .finding(Subject::secret(name), message)
            .detail("key_ids", ids);
        // Nothing is published to compare an untyped value with: then nothing says which copy is right.
        let right = account.matching_copy(name);
        found.add(match right {
            Some(_) => finding.repair(Repair::new(Remedy::ReplaceCopies(name.clone()))),
            None => finding,
        });
    }
}

pub(super) const SECRET_VALUE_MALFORMED: Condition = Condition {
    code: "secret-value-malformed",
    severities: &[Severity::Error],
    needs: &[Need::Key],
    what: "A secret opens and is not what its name requires: a key of 32 bytes in base64.",
    cause: "A client stored something else under its name.",
    repair: "Take it from another copy: under another key, on this machine, on another device.",
    cost: "Nothing.",
    check: secret_value_malformed,
};

fn secret_value_malformed(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in SecretName::standard() {
        for (id, copy) in account.open_copies(&name) {
            let Err(SecretValueError::Base64(error)) = copy.judge(&name, &account.published) else {
                continue;
            };
            let message = format!("{name} under {} is not a key: it {error}", shown(id));
            let finding = found.finding(Subject::entry(&name, id), message);
            found.add(finding.repairs(ways_to_store(account, &name)));
        }
    }
}

pub(super) const SECRET_VALUE_NOT_CANONICAL: Condition = Condition {
    code: "secret-value-not-canonical",
    severities: &[Severity::Warning],
    needs: &[Need::Key],
    what: "A secret has the right value in an outdated form.",
    cause: "An old client wrote it.",
    repair: "Write it again in the current form.",
    cost: "Nothing.",
    check: secret_value_not_canonical,
};

fn secret_value_not_canonical(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in SecretName::standard() {
        for (id, copy) in account.open_copies(&name) {
            let Ok(value) = crate::secret_kind::KeyValue::read(&name, &copy.secret) else {
                continue;
            };
            // Padding is what most clients write, and all read.
            let Some(quirk) = value.quirk.filter(|quirk| !quirk.is_harmless()) else {
                continue;
            };
            let message = format!(
                "{name} under {} is written in an outdated form: {quirk}",
                shown(id)
            );
            let finding = found.finding(Subject::entry(&name, id), message);
            let finding = match quirk {
                Quirk::CommaSeparatedBytes => finding.cause("an old matrix-js-sdk wrote it"),
                _ => finding,
            };
            found.add(finding.repair(Repair::new(Remedy::Rewrite(name.clone()))));
        }
    }
}

pub(super) const SECRETS_SWAPPED: Condition = Condition {
    code: "secrets-swapped",
    severities: &[Severity::Error],
    needs: &[Need::Key, Need::KeysQuery],
    what: "A secret is the private half of another published key than its name says.",
    cause: "A program stored the secrets under each other's names.",
    repair: "Store each under its name.",
    cost: "Nothing.",
    check: secrets_swapped,
};

fn secrets_swapped(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in SecretName::standard() {
        if let Some(mismatch) = Mismatch::of(account, &name)
            && let Some(other) = mismatch.belongs_to
        {
            let message = format!("{name} is the private half of what is published for {other}");
            let finding = found.finding(Subject::secret(&name), message);
            let finding = finding.detail("belongs_to", other.as_str());
            found.add(finding.repairs(ways_to_store(account, &name)));
        }
    }
}

pub(super) const MASTER_KEY_MISMATCH: Condition = Condition {
    code: "master-key-mismatch",
    severities: &[Severity::Fatal],
    needs: &[Need::Key, Need::KeysQuery],
    what: "The stored master key is not the private half of the published one.",
    cause: "Another client replaced the identity and did not store the new keys.",
    repair: "Store the right one from this machine, or ask another device for it. When no device \
             has it, the identity must be replaced.",
    cost: "If the identity is replaced, everybody who verified the user has to do so again.",
    check: master_key_mismatch,
};

fn master_key_mismatch(account: &Account<'_>, found: &mut Findings<'_>) {
    mismatch(
        account,
        found,
        &SecretName::master_key(),
        Remedy::ResetIdentity,
    );
}

pub(super) const SIGNING_KEY_MISMATCH: Condition = Condition {
    code: "signing-key-mismatch",
    severities: &[Severity::Error],
    needs: &[Need::Key, Need::KeysQuery],
    what: "The stored self-signing or user-signing key is not the private half of the published \
           one.",
    cause: "Another client replaced the key and did not store the new one.",
    repair: "Store the right one from this machine, or ask another device for it. With the right \
             master key a new one can be published.",
    cost: "With a new self-signing key the devices must be signed again.",
    check: signing_key_mismatch,
};

fn signing_key_mismatch(account: &Account<'_>, found: &mut Findings<'_>) {
    for name in [
        SecretName::self_signing_key(),
        SecretName::user_signing_key(),
    ] {
        mismatch(account, found, &name, Remedy::NewSigningKey(name.clone()));
    }
}

pub(super) const BACKUP_KEY_MISMATCH: Condition = Condition {
    code: "backup-key-mismatch",
    severities: &[Severity::Error],
    needs: &[Need::Key, Need::BackupVersion],
    what: "The stored key of the backup is not the private half of that of the current version.",
    cause: "Another client created a new version of the backup and did not store its key.",
    repair: "Store the right one from this machine, or ask another device for it. Else a new \
             version is made; the old one is kept.",
    cost: "What only the current version holds cannot be read without its key.",
    check: backup_key_mismatch,
};

fn backup_key_mismatch(account: &Account<'_>, found: &mut Findings<'_>) {
    if older_version(account).is_none() {
        mismatch(account, found, &SecretName::backup_key(), Remedy::NewBackup);
    }
}

pub(super) const BACKUP_KEY_OF_OLDER_VERSION: Condition = Condition {
    code: "backup-key-of-older-version",
    severities: &[Severity::Warning],
    needs: &[Need::Key, Need::BackupVersion],
    what: "The stored key of the backup is that of an older version.",
    cause: "Another client created a new version of the backup and did not store its key.",
    repair: "Store the right one from this machine, or ask another device for it. Keep the old \
             one: it opens the older version.",
    cost: "Nothing.",
    check: backup_key_of_older_version,
};

fn backup_key_of_older_version(account: &Account<'_>, found: &mut Findings<'_>) {
    if let Some(older) = older_version(account) {
        let name = SecretName::backup_key();
        let version = older.version();
        let message = format!("{name} is the key of the older version {}", shown(version));
        let finding = found.finding(Subject::secret(&name), message);
        found.add(
            finding
                .detail("version", version)
                .repairs(ways_to_store(account, &name)),
        );
    }
}

fn mismatch(
    account: &Account<'_>,
    found: &mut Findings<'_>,
    name: &SecretName,
    last_resort: Remedy,
) {
    let Some(mismatch) = Mismatch::of(account, name) else {
        return;
    };
    if mismatch.belongs_to.is_some() {
        return;
    }
    let message = format!("{name} is not the private half of what is published");
    let finding = found.finding(Subject::secret(name), message);
    let finding = finding
        .detail("derived", mismatch.derived)
        .detail("published", mismatch.published);
    let is_backup = last_resort == Remedy::NewBackup;
    let last_resort = Repair::new(last_resort);
    let last_resort = if is_backup {
        with_default(account, last_resort)
    } else {
        last_resort.needs(Requirement::Password)
    };
    found.add(
        finding
            .repairs(ways_to_store(account, name))
            .repair(last_resort),
    );
}

/// A secret of which no copy fits and one contradicts what is published. Public keys are no secrets.
struct Mismatch {
    derived: String,
    published: String,
    /// The standard secret whose public half it fits.
    belongs_to: Option<SecretName>,
}

impl Mismatch {
    fn of(account: &Account<'_>, name: &SecretName) -> Option<Self> {
        if account.good_copy(name).is_some() {
            return None;
        }
        account
            .open_copies(name)
            .find_map(|(_, copy)| match copy.judge(name, &account.published) {
                Err(SecretValueError::Mismatch { derived, published }) => Some(Self {
                    derived,
                    published,
                    belongs_to: belongs_to(account, copy),
                }),
                _ => None,
            })
    }
}

fn belongs_to(account: &Account<'_>, copy: &OpenedSecret) -> Option<SecretName> {
    SecretName::standard().into_iter().find(|other| {
        let verdict = account.published.judge(other, &copy.secret);
        matches!(verdict, Ok(Verdict::Matches { .. }))
    })
}

/// The older version of the backup that the stored key belongs to, when it is not the current one.
fn older_version(account: &Account<'_>) -> Option<BackupVersion> {
    let name = SecretName::backup_key();
    let Backup::Version(current) = &account.backup else {
        return None;
    };
    Mismatch::of(account, &name)?;
    let older = account.evidence.snapshot.backup_versions();
    let mut older = older.filter_map(|body| BackupVersion::from_json(body).ok());
    older.find(|older| {
        let published = PublishedKeys {
            identity: None,
            backup: Some(older.clone()),
        };
        older.version() != current.version()
            && account.open_copies(&name).any(|(_, copy)| {
                matches!(
                    published.judge(&name, &copy.secret),
                    Ok(Verdict::Matches { .. })
                )
            })
    })
}
