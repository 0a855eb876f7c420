//! The user's other devices, whose signatures are renewed when the self-signing key is.

use super::known::KnownAccount;
use crate::cross_signing::ConfirmedDevice;
use crate::identity::{CrossSigningKeyError, DeviceKeys, Trust, UserKeys};
use crate::signed_json::PublicKey;

/// The devices that the published self-signing key signed.
#[derive(Default)]
pub(super) struct SignedBefore {
    /// Those that may be signed by the key that takes its place: their signature shows that they are
    /// the user's, they are logged in, and nothing that this machine knows speaks against them.
    pub(super) renewed: Vec<ConfirmedDevice>,
    /// The IDs of the others, which the user has to verify again. Untrusted text.
    pub(super) left_out: Vec<String>,
}

impl SignedBefore {
    /// `this_device` is signed for itself.
    pub(super) fn of(account: &KnownAccount<'_>, this_device: &str) -> Self {
        let keys = account.published;
        let mut signed = Self::default();
        let Ok(key) = keys.identity().self_signing_key() else {
            return signed;
        };
        let may_be_renewed = is_known_key(account.trust, key) && keys.colliding_device().is_none();
        for device in readable(keys) {
            let id = device.device_id();
            let is_signed = key.verify(device.content(), keys.user_id()).is_ok();
            if id == this_device || device.is_dehydrated() || !is_signed {
                continue;
            }
            let is_logged_in = account.log_ins.is_some_and(|log_ins| log_ins.contains(id));
            let is_trusted = account
                .trust
                .is_none_or(|trust| nothing_speaks_against(trust, device));
            match ConfirmedDevice::signed_before(keys, id) {
                Ok(confirmed) if may_be_renewed && is_logged_in && is_trusted => {
                    signed.renewed.push(confirmed);
                }
                _ => signed.left_out.push(id.to_owned()),
            }
        }
        signed
    }
}

/// Whether a self-signing key is the one that this machine knows, if it knows one. Of another one
/// nobody knows whose devices it signed.
fn is_known_key(trust: Option<&Trust>, key: PublicKey) -> bool {
    let Some(trust) = trust else { return true };
    trust.alarm().is_none()
        && trust
            .pinned_self_signing_key()
            .is_none_or(|pinned| pinned == key)
}

fn nothing_speaks_against(trust: &Trust, device: &DeviceKeys) -> bool {
    let id = device.device_id();
    trust.tombstone_of(id).is_none()
        && trust
            .device(id)
            .is_none_or(|known| known.has_keys_of(device))
}

fn readable(keys: &UserKeys) -> impl Iterator<Item = &DeviceKeys> {
    keys.devices().filter_map(|(_, keys)| keys.as_ref().ok())
}

/// Which of the published signing keys others take the place of, in words.
pub(super) fn replaced_keys(
    account: &KnownAccount<'_>,
    new: &crate::PublishedIdentity,
) -> Vec<&'static str> {
    let old = account.published.identity();
    let is_replaced = |old: Result<PublicKey, CrossSigningKeyError>,
                       new: Result<PublicKey, CrossSigningKeyError>| {
        matches!((old, new), (Ok(old), Ok(new)) if old != new)
    };
    if is_replaced(old.master_key(), new.master_key()) {
        return Vec::new();
    }
    let mut replaced = Vec::new();
    if is_replaced(old.self_signing_key(), new.self_signing_key()) {
        replaced.push(SELF_SIGNING);
    }
    if is_replaced(old.user_signing_key(), new.user_signing_key()) {
        replaced.push(USER_SIGNING);
    }
    replaced
}

pub(super) const SELF_SIGNING: &str = "self-signing";
pub(super) const USER_SIGNING: &str = "user-signing";
