//! The devices of the user.

use std::collections::BTreeSet;

use crate::health::account::Account;
use crate::health::condition::Condition;
use crate::health::finding::{Finding, Findings, Subject, SubjectKind};
use crate::health::need::Need;
use crate::health::repair::{Remedy, Repair, Requirement};
use crate::health::severity::Severity;
use crate::health::shown::shown;
use crate::identity::DeviceKeys;
use crate::signed_json::SignatureError;
use crate::{SecretName, Timestamp};

pub(super) const DEVICE_WITHOUT_KEYS: Condition = Condition {
    code: "device-without-keys",
    severities: &[Severity::Info, Severity::Error],
    needs: &[Need::KeysQuery, Need::Server],
    what: "A device is logged in and has published no keys.",
    cause: "It does not use encryption, or the server lost its keys.",
    repair: "Log in again on that device.",
    cost: "Nothing.",
    check: device_without_keys,
};

fn device_without_keys(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(keys) = account.devices() else {
        return;
    };
    for device in account.listed.iter().flatten() {
        let id = device.device_id.as_str();
        if keys.device(id).is_none() {
            let message = format!("the device {} has published no keys", shown(id));
            let finding = found.finding(Subject::new(SubjectKind::Device, id), message);
            // Where nobody published an identity, storage is used alone.
            let is_used = account.master_key().is_some();
            found.add(if is_used {
                for_this(account, id, finding, Severity::Info)
            } else {
                finding
            });
        }
    }
}

pub(super) const DEVICE_UNSIGNED: Condition = Condition {
    code: "device-unsigned",
    severities: &[Severity::Warning, Severity::Error],
    needs: &[Need::KeysQuery],
    what: "A device is not signed by the user's identity: others see it as unverified.",
    cause: "It was never verified, or the identity was replaced since.",
    repair: "Verify the device from itself, with the recovery key or with another device.",
    cost: "Nothing.",
    check: device_unsigned,
};

fn device_unsigned(account: &Account<'_>, found: &mut Findings<'_>) {
    for (keys, signed) in signed(account) {
        if signed == Signed::No {
            let message = format!("the device {} is not signed", shown(keys.device_id()));
            found.add(to_sign(account, keys, found, message, Severity::Warning));
        }
    }
}

pub(super) const DEVICE_SIGNATURE_INVALID: Condition = Condition {
    code: "device-signature-invalid",
    severities: &[Severity::Error],
    needs: &[Need::KeysQuery],
    what: "A device carries a signature of the user's identity that does not match its keys.",
    cause: "The ID of the device was used before: some servers keep the old signature and drop the \
            new one.",
    repair: "Give the device a new ID: log in again on it.",
    cost: "A new log-in on that device.",
    check: device_signature_invalid,
};

fn device_signature_invalid(account: &Account<'_>, found: &mut Findings<'_>) {
    for (keys, signed) in signed(account) {
        if signed == Signed::Wrongly {
            let message = format!(
                "the signature on the device {} is invalid",
                shown(keys.device_id())
            );
            found.add(to_sign(account, keys, found, message, Severity::Error));
        }
    }
}

pub(super) const DEVICE_SIGNED_BY_OLD_KEY: Condition = Condition {
    code: "device-signed-by-old-key",
    severities: &[Severity::Error],
    needs: &[Need::KeysQuery],
    what: "A device is signed by a former self-signing key only.",
    cause: "The identity was replaced, and the device was not verified again.",
    repair: "Verify the device again.",
    cost: "Nothing.",
    check: device_signed_by_old_key,
};

fn device_signed_by_old_key(account: &Account<'_>, found: &mut Findings<'_>) {
    for (keys, signed) in signed(account) {
        if signed == Signed::ByAnotherKey {
            let message = format!(
                "the device {} is signed by a former key only",
                shown(keys.device_id())
            );
            found.add(to_sign(account, keys, found, message, Severity::Error));
        }
    }
}

pub(super) const NO_DEVICE_CAN_SHARE: Condition = Condition {
    code: "no-device-can-share",
    severities: &[Severity::Info, Severity::Warning],
    needs: &[Need::KeysQuery],
    what: "No other verified device is left that could send a secret to this one. It is a warning \
           once a secret is missing that another device could send.",
    cause: "The other devices were logged out, or never verified.",
    repair: "Keep the recovery key: it is the only way in.",
    cost: "Nothing.",
    check: no_device_can_share,
};

fn no_device_can_share(account: &Account<'_>, found: &mut Findings<'_>) {
    let this = account.this_device();
    let can_share = |(keys, signed): &(&DeviceKeys, Signed)| {
        let id = keys.device_id();
        let is_there = !keys.is_dehydrated() && Some(id) != this && is_logged_in(account, id);
        *signed == Signed::Yes && is_there
    };
    // An account that nobody set up has nothing to share.
    if account.master_key().is_some() && !signed(account).iter().any(can_share) {
        let message = "no other verified device could send a secret";
        let id = &account.evidence.snapshot.user_id;
        let severity = if found.has_request() {
            Severity::Warning
        } else {
            Severity::Info
        };
        let finding = found.finding(Subject::new(SubjectKind::Account, id), message);
        found.add(finding.severity(severity));
    }
}

pub(super) const LAST_DEVICE: Condition = Condition {
    code: "last-device",
    severities: &[Severity::Warning],
    needs: &[Need::KeysQuery],
    what: "Something is wrong, and only one device is left: logging out there would lock the user \
           out.",
    cause: "The other devices were logged out.",
    repair: "Stay logged in on that device until everything else is repaired.",
    cost: "Nothing.",
    check: last_device,
};

fn last_device(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(keys) = account.devices() else {
        return;
    };
    let mut usable = keys.devices().filter(|(id, keys)| {
        is_logged_in(account, id) && keys.as_ref().is_ok_and(|keys| !keys.is_dehydrated())
    });
    if let (Some((id, _)), None) = (usable.next(), usable.next())
        && found.has_errors()
    {
        let message = format!(
            "{} is the only device left: stay logged in there",
            shown(id)
        );
        found.add(found.finding(Subject::new(SubjectKind::Device, id), message));
    }
}

pub(super) const DEHYDRATED_DEVICE_BROKEN: Condition = Condition {
    code: "dehydrated-device-broken",
    severities: &[Severity::Warning],
    needs: &[Need::KeysQuery],
    what: "A dehydrated device is published and its key is not stored, or the reverse.",
    cause: "A client created one without the other, or a server deleted the device.",
    repair: "Delete the dehydrated device, or let the client create a new one.",
    cost: "Messages that only this device could read.",
    check: dehydrated_device_broken,
};

fn dehydrated_device_broken(account: &Account<'_>, found: &mut Findings<'_>) {
    let Some(keys) = account.devices() else {
        return;
    };
    let mut dehydrated = keys.devices().filter_map(|(_, keys)| keys.as_ref().ok());
    let device = dehydrated.find(|keys| keys.is_dehydrated());
    let mut names = account.secrets.keys();
    let stored = names.find(|name| DEHYDRATION_KEYS.contains(&name.as_str()));
    match (device, stored) {
        (Some(device), None) => {
            let id = device.device_id();
            let message = format!(
                "the key of the dehydrated device {} is not stored",
                shown(id)
            );
            found.add(found.finding(Subject::new(SubjectKind::Device, id), message));
        }
        (None, Some(name)) => {
            let message = "the key of a dehydrated device is stored, and there is no such device";
            found.add(found.finding(Subject::secret(name), message));
        }
        _ => {}
    }
}

pub(super) const MANY_DEVICES: Condition = Condition {
    code: "many-devices",
    severities: &[Severity::Info],
    needs: &[Need::Server],
    what: "The account has more than 50 devices, or one that has not been seen for a year.",
    cause: "A bot logs in at each start and never out, or a device was given away.",
    repair: "Log out those that are not used.",
    cost: "A device that is logged out loses what only it holds.",
    check: many_devices,
};

fn many_devices(account: &Account<'_>, found: &mut Findings<'_>) {
    let devices: Vec<_> = account.listed.iter().flatten().collect();
    let now = account
        .evidence
        .now
        .or_else(|| account.evidence.snapshot.taken_at());
    let is_unseen = |seen: u64| {
        let age = now.map(|now| now.since(Timestamp::from_millis(seen)));
        age.is_some_and(|age| age.as_secs() > YEAR)
    };
    let seen = devices.iter().filter_map(|one| one.last_seen_ts);
    let unseen = seen.filter(|seen| is_unseen(*seen)).count();
    if devices.len() > MANY || unseen > 0 {
        let message = format!(
            "{} devices, {unseen} of them not seen for a year",
            devices.len()
        );
        let id = &account.evidence.snapshot.user_id;
        let finding = found.finding(Subject::new(SubjectKind::Account, id), message);
        found.add(
            finding
                .detail("devices", devices.len())
                .detail("unseen", unseen),
        );
    }
}

pub(super) const DEVICE_NOT_LISTED: Condition = Condition {
    code: "device-not-listed",
    severities: &[Severity::Warning],
    needs: &[Need::KeysQuery, Need::Server],
    what: "Keys are published for a device that is not logged in.",
    cause: "The server kept the keys after a log-out, or it shows a device that the user does not \
            have.",
    repair: "None is possible from here. Such a device is not trusted.",
    cost: "Nothing.",
    check: device_not_listed,
};

fn device_not_listed(account: &Account<'_>, found: &mut Findings<'_>) {
    let (Some(keys), Some(listed)) = (account.devices(), &account.listed) else {
        return;
    };
    let listed: BTreeSet<_> = listed.iter().map(|one| one.device_id.as_str()).collect();
    for (id, keys) in keys.devices() {
        let is_dehydrated = keys.as_ref().is_ok_and(DeviceKeys::is_dehydrated);
        if !listed.contains(id) && !is_dehydrated {
            let message = format!(
                "keys are published for {}, which is not logged in",
                shown(id)
            );
            found.add(found.finding(Subject::new(SubjectKind::Device, id), message));
        }
    }
}

/// Whether a device is logged in, as far as the server said.
fn is_logged_in(account: &Account<'_>, id: &str) -> bool {
    let listed = account.listed.as_ref();
    listed.is_none_or(|listed| listed.iter().any(|one| one.device_id == id))
}

/// Whether the identity signed a device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Signed {
    Yes,
    No,
    Wrongly,
    ByAnotherKey,
}

/// The devices whose keys can be read, where an identity is published that could sign them.
fn signed<'a>(account: &'a Account<'_>) -> Vec<(&'a DeviceKeys, Signed)> {
    let identity = account.published.identity.as_ref();
    let key = identity.and_then(|identity| identity.self_signing_key().ok());
    let (Some(key), Some(devices)) = (key, account.devices()) else {
        return Vec::new();
    };
    let user_id = account.evidence.snapshot.user_id.as_str();
    let master = account.master_key().map(|master| master.key_id());
    let signed = |keys: &DeviceKeys| match key.verify(keys.content(), user_id) {
        Ok(()) => Signed::Yes,
        Err(SignatureError::Missing) if has_other_signature(keys, user_id, master.as_deref()) => {
            Signed::ByAnotherKey
        }
        Err(SignatureError::Missing) => Signed::No,
        Err(_) => Signed::Wrongly,
    };
    let readable = devices.devices().filter_map(|(_, keys)| keys.as_ref().ok());
    readable.map(|keys| (keys, signed(keys))).collect()
}

/// Whether the user signed a device with a key that is neither the device's own nor the master key.
fn has_other_signature(keys: &DeviceKeys, user_id: &str, master: Option<&str>) -> bool {
    let signatures = keys.content().object("signatures").and_then(Result::ok);
    let by_user = signatures.and_then(|all| all.object(user_id)?.ok());
    let own = format!("ed25519:{}", keys.device_id());
    by_user.is_some_and(|by_user| {
        by_user
            .members()
            .any(|id| id.starts_with("ed25519:") && id != own && Some(id) != master)
    })
}

fn to_sign(
    account: &Account<'_>,
    keys: &DeviceKeys,
    found: &Findings<'_>,
    message: String,
    severity: Severity,
) -> Finding {
    let id = keys.device_id();
    let finding = found.finding(Subject::new(SubjectKind::Device, id), message);
    let repair = Repair::new(Remedy::SignDevice(id.to_owned()));
    // Only who sits at a device knows that its keys are its own.
    let repair = if account.this_device() == Some(id) {
        repair
    } else {
        repair.needs(Requirement::Device)
    };
    let repair = match account.good_copy(&SecretName::self_signing_key()) {
        Some(_) => repair,
        None => match account.named_default() {
            Some(id) => repair.needs(Requirement::Key(id.clone())),
            None => repair.needs(Requirement::OtherCopy),
        },
    };
    for_this(account, id, finding, severity).repair(repair)
}

/// What is wrong with this device is worse than with another one.
fn for_this(account: &Account<'_>, id: &str, finding: Finding, others: Severity) -> Finding {
    let is_this = account.this_device() == Some(id);
    finding.severity(if is_this { Severity::Error } else { others })
}

/// The names under which clients keep the key of a dehydrated device (MSC3814).
const DEHYDRATION_KEYS: [&str; 2] = ["m.dehydrated_device", "org.matrix.msc3814"];
const MANY: usize = 50;
/// In seconds.
const YEAR: u64 = 365 * 24 * 60 * 60;
