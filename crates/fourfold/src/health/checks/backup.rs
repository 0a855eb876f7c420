//! The key backup.

use super::secrets::is_emptied;
use super::ways::{ways_to_store, with_default};
use crate::health::account::{Account, Backup};
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject, SubjectKind};
use crate::health::need::Need;
use crate::health::repair::{Remedy, Repair, Requirement};
use crate::health::severity::Severity;
use crate::signed_json::SignatureError;
use crate::{BackupVersionError, Content, EventState, SecretName, SecretState};

pub(super) const BACKUP_MISSING: Condition = Condition {
    code: "backup-missing",
    severities: &[Severity::Warning],
    needs: &[Need::BackupVersion],
    what: "The account says that room keys are backed up, and there is no key backup.",
    cause: "A client deleted the backup and left the setting.",
    repair: "Create a new version.",
    cost: "Nothing.",
    check: backup_missing,
};

fn backup_missing(account: &Account<'_>, found: &mut Findings<'_>) {
    let is_wanted = matches!(flag(account, KEY_BACKUP, "enabled"), Some(true));
    if is_wanted && matches!(account.backup, Backup::Missing) {
        let message = "room keys are said to be backed up, and there is no key backup";
        let repair = with_default(account, Repair::new(Remedy::NewBackup));
        found.add(found.finding(whole(account), message).repair(repair));
    }
}

pub(super) const BACKUP_KEY_MISSING: Condition = Condition {
    code: "backup-key-missing",
    severities: &[Severity::Error],
    needs: &[Need::BackupVersion],
    what: "There is a key backup, and its key is not stored.",
    cause: "A client created the backup without secret storage, or emptied the secret.",
    repair: "Store the key from this machine, or ask another device for it. Otherwise a new \
             version is created; the old one is kept.",
    cost: "What only the current version holds cannot be read without its key.",
    check: backup_key_missing,
};

fn backup_key_missing(account: &Account<'_>, found: &mut Findings<'_>) {
    let name = SecretName::backup_key();
    let state = account.storage.secret(&name);
    let is_missing = matches!(state, SecretState::Absent) || is_emptied(&state);
    if is_missing && matches!(account.backup, Backup::Version(_) | Backup::Unreadable(_)) {
        let message = "there is a key backup, and its key is not stored";
        let finding = found.finding(Subject::secret(&name), message);
        let new = with_default(account, Repair::new(Remedy::NewBackup));
        found.add(finding.repairs(ways_to_store(account, &name)).repair(new));
    }
}

pub(super) const BACKUP_DATA_MALFORMED: Condition = Condition {
    code: "backup-data-malformed",
    severities: &[Severity::Error],
    needs: &[Need::BackupVersion],
    what: "The current version of the key backup has no public key that could be one.",
    cause: "A client wrote it that way, as nheko did with keys of 45 bytes.",
    repair: "Create a new version; the old one is kept.",
    cost: "What only the current version holds cannot be read.",
    check: backup_data_malformed,
};

fn backup_data_malformed(account: &Account<'_>, found: &mut Findings<'_>) {
    if let Backup::Unreadable(error) = &account.backup
        && *error != BackupVersionError::UnsupportedAlgorithm
    {
        let finding = found.finding(whole(account), error.to_string());
        let repair = with_default(account, Repair::new(Remedy::NewBackup));
        found.add(finding.detail("error", error.code()).repair(repair));
    }
}

pub(super) const BACKUP_ALGORITHM_UNKNOWN: Condition = Condition {
    code: "backup-algorithm-unknown",
    severities: &[Severity::Error],
    needs: &[Need::BackupVersion],
    what: "The current version of the key backup is of an unknown algorithm, or of none.",
    cause: "A newer client created it, or it is damaged.",
    repair: "Create a new version; the old one is kept.",
    cost: "Clients of the newer algorithm start over.",
    check: backup_algorithm_unknown,
};

fn backup_algorithm_unknown(account: &Account<'_>, found: &mut Findings<'_>) {
    if let Backup::Unreadable(error @ BackupVersionError::UnsupportedAlgorithm) = &account.backup {
        let finding = found.finding(whole(account), error.to_string());
        let repair = with_default(account, Repair::new(Remedy::NewBackup));
        found.add(finding.repair(repair));
    }
}

pub(super) const BACKUP_UNSIGNED: Condition = Condition {
    code: "backup-unsigned",
    severities: &[Severity::Warning],
    needs: &[Need::BackupVersion, Need::KeysQuery],
    what: "The key backup is not signed by the master key: devices that rely on that signature do \
           not write to it.",
    cause: "A client signed it with its device only, or the identity was replaced since.",
    repair: "Sign it with the master key.",
    cost: "Nothing.",
    check: backup_unsigned,
};

fn backup_unsigned(account: &Account<'_>, found: &mut Findings<'_>) {
    if signature(account) == Some(Err(SignatureError::Missing)) {
        let message = "the key backup is not signed by the master key";
        found.add(found.finding(whole(account), message).repair(sign(account)));
    }
}

pub(super) const BACKUP_SIGNATURE_INVALID: Condition = Condition {
    code: "backup-signature-invalid",
    severities: &[Severity::Error],
    needs: &[Need::BackupVersion, Need::KeysQuery],
    what: "The key backup carries an invalid signature of the master key.",
    cause: "The public key of the backup was changed after it was signed, perhaps by the server.",
    repair: "When the key of the backup is at hand: sign it again. Otherwise create a new version.",
    cost: "Nothing.",
    check: backup_signature_invalid,
};

fn backup_signature_invalid(account: &Account<'_>, found: &mut Findings<'_>) {
    if let Some(Err(error)) = signature(account)
        && error != SignatureError::Missing
    {
        let message = format!("the signature of the master key on the key backup: {error}");
        let finding = found
            .finding(whole(account), message)
            .detail("error", error.code());
        let new = with_default(account, Repair::new(Remedy::NewBackup));
        found.add(finding.repair(sign(account)).repair(new));
    }
}

pub(super) const BACKUP_EMPTY: Condition = Condition {
    code: "backup-empty",
    severities: &[Severity::Info],
    needs: &[Need::BackupVersion],
    what: "There is a key backup, and nothing is in it.",
    cause: "It is new, or no device trusts it enough to write to it.",
    repair: "None if it is new. Otherwise check that it is signed and that its key is stored.",
    cost: "Nothing.",
    check: backup_empty,
};

fn backup_empty(account: &Account<'_>, found: &mut Findings<'_>) {
    let count = body(account).and_then(|body| body.get::<u64>("count")?.ok());
    if count == Some(0) {
        found.add(found.finding(whole(account), "the key backup is empty"));
    }
}

pub(super) const BACKUP_KEYS_DO_NOT_OPEN: Condition = Condition {
    code: "backup-keys-do-not-open",
    severities: &[Severity::Error],
    needs: &[Need::Key, Need::BackupVersion],
    what: "Room keys in the key backup do not open with its key.",
    cause: "A device encrypted them to another key, or they were changed.",
    repair: "Create a new version; the devices upload their room keys again.",
    cost: "What only these held cannot be read.",
    check: backup_keys_do_not_open,
};

fn backup_keys_do_not_open(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(sample) = account
        .evidence
        .observed
        .as_ref()
        .and_then(|one| one.sampled_sessions)
    else {
        if !matches!(account.backup, Backup::Missing) {
            found.lacks(Need::Server);
        }
        return;
    };
    if sample.opened < sample.tried {
        let (opened, tried) = (sample.opened, sample.tried);
        let message = format!("{opened} of {tried} room keys of the backup open with its key");
        let finding = found.finding(whole(account), message);
        let finding = finding.detail("tried", tried).detail("opened", opened);
        let repair = with_default(account, Repair::new(Remedy::NewBackup));
        found.add(finding.repair(repair));
    }
}

pub(super) const BACKUP_HAS_PASSPHRASE: Condition = Condition {
    code: "backup-has-passphrase",
    severities: &[Severity::Info],
    needs: &[Need::BackupVersion],
    what: "The key of the backup was derived from a passphrase, which opens the backup alone.",
    cause: "The backup was created before secret storage, or by an old client.",
    repair: "Create a new version if nobody is to open it with that passphrase.",
    cost: "The devices upload their room keys again.",
    check: backup_has_passphrase,
};

fn backup_has_passphrase(account: &Account<'_>, found: &mut Findings<'_>) {
    let auth_data = body(account).and_then(|body| body.object("auth_data")?.ok());
    if auth_data.is_some_and(|auth_data| auth_data.raw("private_key_salt").is_some()) {
        let message = "a passphrase of its own opens the key backup";
        found.add(found.finding(whole(account), message));
    }
}

pub(super) const BACKUP_FLAGS_DISAGREE: Condition = Condition {
    code: "backup-flags-disagree",
    severities: &[Severity::Warning],
    needs: &[],
    what: "Two events say whether room keys are backed up, and they contradict each other.",
    cause: "A client knows only one of them.",
    repair: "Write the setting of the new event to the old one.",
    cost: "Nothing.",
    check: backup_flags_disagree,
};

fn backup_flags_disagree(account: &Account<'_>, found: &mut Findings<'_>) {
    let (enabled, disabled) = (
        flag(account, KEY_BACKUP, "enabled"),
        flag(account, BACKUP_DISABLED, "disabled"),
    );
    if let (Some(enabled), Some(disabled)) = (enabled, disabled)
        && enabled == disabled
    {
        let message = format!("{KEY_BACKUP} and {BACKUP_DISABLED} contradict each other");
        let finding = found
            .finding(whole(account), message)
            .detail("enabled", enabled);
        let finding = finding.detail("disabled", disabled);
        found.add(finding.repair(Repair::new(Remedy::AlignBackupFlags)));
    }
}

/// The signature of the published master key on the current version; `None` where one is missing.
fn signature(account: &Account<'_>) -> Option<Result<(), SignatureError>> {
    let (version, master) = (account.backup.version()?, account.master_key()?);
    Some(master.verify(version.auth_data(), &account.evidence.snapshot.user_id))
}

/// To sign the backup takes its key and the master key.
fn sign(account: &Account<'_>) -> Repair {
    let names = [SecretName::backup_key(), SecretName::master_key()];
    let repair = Repair::new(Remedy::SignBackup);
    if names.iter().all(|name| account.good_copy(name).is_some()) {
        return repair;
    }
    match account.named_default() {
        Some(id) if !account.has_proven(id) => repair.needs(Requirement::Key(id.clone())),
        _ => repair.needs(Requirement::OtherCopy),
    }
}

fn flag(account: &Account<'_>, event_type: &str, member: &str) -> Option<bool> {
    match account.storage.account_data().state(event_type) {
        EventState::Content(content) => content.get::<bool>(member)?.ok(),
        _ => None,
    }
}

fn body(account: &Account<'_>) -> Option<Content> {
    Content::from_json(account.evidence.snapshot.backup_version()?).ok()
}

fn whole(account: &Account<'_>) -> Subject {
    let version = account
        .backup
        .version()
        .map_or("", |version| version.version());
    Subject::new(SubjectKind::KeyBackup, version)
}

const KEY_BACKUP: &str = "m.key_backup";
const BACKUP_DISABLED: &str = "m.org.matrix.custom.backup_disabled";
