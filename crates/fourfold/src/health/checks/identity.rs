//! The published identity.

use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Findings, Subject, SubjectKind};
use crate::health::need::Need;
use crate::health::repair::{Remedy, Repair, Requirement};
use crate::health::severity::Severity;
use crate::identity::CrossSigningKeyError;
use crate::signed_json::PublicKey;
use crate::{SecretName, Snapshot};

pub(super) const IDENTITY_NOT_PUBLISHED: Condition = Condition {
    code: "identity-not-published",
    severities: &[Severity::Error],
    needs: &[Need::KeysQuery],
    what: "Private keys of an identity are stored, and no identity is published.",
    cause: "A set-up was interrupted, or the server lost the keys.",
    repair: "Publish the stored identity.",
    cost: "Nothing.",
    check: identity_not_published,
};

fn identity_not_published(account: &Account<'_>, found: &mut Findings<'_>) {
    let not_published = CrossSigningKeyError::NotPublished;
    let is_published = account
        .published
        .identity
        .as_ref()
        .is_none_or(|identity| identity.master_key() != Err(not_published));
    let is_stored = |name: &SecretName| account.secrets.contains_key(name);
    if !is_published && SecretName::cross_signing().iter().any(is_stored) {
        let repair = Repair::new(Remedy::PublishIdentity).needs(Requirement::Password);
        let is_open = |name: &SecretName| account.good_copy(name).is_some();
        let repair = if SecretName::cross_signing().iter().all(is_open) {
            repair
        } else {
            match account.named_default() {
                Some(id) => repair.needs(Requirement::Key(id.clone())),
                None => repair.needs(Requirement::OtherCopy),
            }
        };
        let message = "keys of an identity are stored, and none is published";
        found.add(found.finding(whole(account), message).repair(repair));
    }
}

pub(super) const SIGNING_KEY_UNSIGNED: Condition = Condition {
    code: "signing-key-unsigned",
    severities: &[Severity::Error],
    needs: &[Need::KeysQuery],
    what: "The published self-signing or user-signing key is not signed by the published master \
           key.",
    cause: "The master key was replaced and the other keys were not, or the server changed them.",
    repair: "Publish a new one, signed by the master key.",
    cost: "With a new self-signing key the devices must be signed again.",
    check: signing_key_unsigned,
};

fn signing_key_unsigned(account: &Account<'_>, found: &mut Findings<'_>) {
    for (name, key) in keys(account) {
        if let Err(CrossSigningKeyError::Signature(error)) = key {
            let message = format!("the published key of {name} is not signed: {error}");
            let finding = found
                .finding(whole(account), message)
                .detail("secret", name.as_str());
            let repair = Repair::new(Remedy::NewSigningKey(name)).needs(Requirement::Password);
            found.add(finding.detail("error", error.code()).repair(repair));
        }
    }
}

pub(super) const PUBLISHED_KEY_MALFORMED: Condition = Condition {
    code: "published-key-malformed",
    severities: &[Severity::Error],
    needs: &[Need::KeysQuery],
    what: "A published key of the identity is malformed: its ID is not the key, its usage is \
           another one, or it is of another user. Clients ignore it.",
    cause: "A client published padded keys, or the server changed them.",
    repair: "Publish the keys again.",
    cost: "Nothing, when the private keys are there.",
    check: published_key_malformed,
};

fn published_key_malformed(account: &Account<'_>, found: &mut Findings<'_>) {
    for (name, key) in keys(account) {
        let Err(error) = key else { continue };
        if matches!(
            error,
            CrossSigningKeyError::NotPublished | CrossSigningKeyError::Signature(_)
        ) {
            continue;
        }
        // A master key that cannot be read makes the others unreadable too; that is said once.
        if name != SecretName::master_key() && account.master_key().is_none() {
            continue;
        }
        let message = format!("the published key of {name}: {error}");
        let finding = found
            .finding(whole(account), message)
            .detail("secret", name.as_str());
        let repair = Repair::new(Remedy::PublishIdentity).needs(Requirement::Password);
        found.add(finding.detail("error", error.code()).repair(repair));
    }
}

pub(super) const MASTER_KEY_UNSIGNED_BY_DEVICE: Condition = Condition {
    code: "master-key-unsigned-by-device",
    severities: &[Severity::Info],
    needs: &[Need::KeysQuery],
    what: "No device of the user signed the master key.",
    cause: "The client that created the identity does not sign it with its device.",
    repair: "None is needed: only clients that were verified before cross-signing look at it.",
    cost: "Nothing.",
    check: master_key_unsigned_by_device,
};

fn master_key_unsigned_by_device(account: &Account<'_>, found: &mut Findings<'_>) {
    let (Some(identity), Some(devices)) = (&account.published.identity, account.devices()) else {
        return;
    };
    let mut devices = devices.devices().filter_map(|(_, keys)| keys.as_ref().ok());
    if identity.master_key().is_ok() && !devices.any(|keys| identity.is_signed_by_device(keys)) {
        let message = "no device of the user signed the master key";
        found.add(found.finding(whole(account), message));
    }
}

pub(super) const IDENTITY_CHANGED: Condition = Condition {
    code: "identity-changed",
    severities: &[Severity::Error],
    needs: &[Need::KeysQuery, Need::Baseline],
    what: "Another master key is published than the one that this machine knows.",
    cause: "The identity was replaced on another device, or somebody else replaced it.",
    repair: "If the user did it: accept the new identity, and store its keys. If not: change the \
             password, log out what is unknown, and replace the identity.",
    cost: "Everybody who verified the user has to do so again.",
    check: identity_changed,
};

fn identity_changed(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(now) = account.master_key() else {
        return;
    };
    let pinned = account.evidence.trust.and_then(|trust| trust.pinned());
    let baseline = account.evidence.baseline.and_then(master_key_of);
    for before in [pinned.map(|(key, _)| key), baseline].into_iter().flatten() {
        if before != now {
            let message = "another master key is published than the one that is known here";
            let finding = found.finding(whole(account), message);
            let finding = finding
                .detail("known", before.to_base64())
                .detail("published", now.to_base64());
            found.add(
                finding.repair(Repair::new(Remedy::ResetIdentity).needs(Requirement::Password)),
            );
            return;
        }
    }
}

/// The three published keys with the names of their secrets.
fn keys(account: &Account<'_>) -> Vec<(SecretName, Result<PublicKey, CrossSigningKeyError>)> {
    let identity = account.published.identity.iter();
    identity
        .flat_map(|identity| {
            [
                (SecretName::master_key(), identity.master_key()),
                (SecretName::self_signing_key(), identity.self_signing_key()),
                (SecretName::user_signing_key(), identity.user_signing_key()),
            ]
        })
        .collect()
}

fn master_key_of(snapshot: &Snapshot) -> Option<PublicKey> {
    snapshot.published_keys().identity?.master_key().ok()
}

fn whole(account: &Account<'_>) -> Subject {
    Subject::new(SubjectKind::Identity, &account.evidence.snapshot.user_id)
}
