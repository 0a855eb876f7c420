//! What leads out of a broken identity: the error about its keys, and hints that several errors and
//! commands give.

use fourfold::SecretName;
use fourfold::cross_signing::{ReplacedIdentity, UnusableKeys};
use fourfold::identity::IdentityAlarm;

use crate::error::{Error, Exit};

impl From<UnusableKeys> for Error {
    fn from(error: UnusableKeys) -> Self {
        let hint = match &error {
            UnusableKeys::Foreign { .. } => {
                "the homeserver may show a false identity: compare it on another device, and ask its \
                 administrator"
                    .to_owned()
            }
            UnusableKeys::NoSelfSigningKey { has_master_key } => {
                without_signing_key(&SecretName::self_signing_key(), *has_master_key)
            }
            UnusableKeys::Replaced(replaced) => which_to_keep(replaced),
            _ => "fourfold status shows which keys open which secrets".to_owned(),
        };
        Self::new(
            Exit::NotVerified,
            format_args!("{error}; nothing was signed"),
        )
        .hint(hint)
    }
}

/// What to do about an identity, or a key of it, that this machine does not know.
pub(crate) fn after_alarm(alarm: &IdentityAlarm) -> &'static str {
    match alarm {
        IdentityAlarm::SelfSigningKeyChanged { .. } => OTHER_SIGNING_KEY,
        _ => OTHER_IDENTITY,
    }
}

/// What to do without the private half of a key that the master key signs.
pub(crate) fn without_signing_key(name: &SecretName, has_master_key: bool) -> String {
    let from_a_device = from_a_device(name);
    if has_master_key {
        format!(
            "{from_a_device}; or make a new one under the same master key, for which nobody has to \
             verify you again: fourfold setup --new-signing-keys"
        )
    } else if *name == SecretName::self_signing_key() {
        format!(
            "{from_a_device}; if no device has it: fourfold setup --reset-identity, which everybody \
             who verified you notices"
        )
    } else {
        from_a_device
    }
}

/// What to do when secret storage holds other keys than those that are published.
pub(crate) fn which_to_keep(replaced: &ReplacedIdentity) -> String {
    if replaced.is_master_key() {
        format!(
            "if you replaced it in another client, store its keys: {}, and so the other two; to \
             publish the stored one again, because it was replaced by mistake or its keys are lost: \
             fourfold setup --restore-identity; if nobody replaced it, do not trust the homeserver",
            from_a_device(&SecretName::master_key())
        )
    } else {
        without_signing_key(&SecretName::self_signing_key(), replaced.has_master_key())
    }
}

/// How to get a secret from another device. This one must be verified by it.
pub(crate) fn from_a_device(name: &SecretName) -> String {
    format!(
        "get it from a device of yours that has it: fourfold device verify DEVICE, then fourfold \
         request {name} --out FILE and fourfold put {name} FILE"
    )
}

/// The hint about a self-signing key that this machine does not know.
const OTHER_SIGNING_KEY: &str = "if you replaced it in another client, confirm it: fourfold device \
    verify --accept-identity; to replace it with another one under the same master key: fourfold \
    setup --new-signing-keys; if nobody replaced it, do not trust the homeserver";

/// The hint about a device whose ID was used before.
pub(crate) const NEW_DEVICE_ID: &str = "a new log-in gives this device another ID, and what this \
    machine knows stays: fourfold resume --abandon if a change is unfinished, then fourfold logout, \
    fourfold login without --device-id, and the same command again";

/// The hint about an identity that this machine does not know.
pub(crate) const OTHER_IDENTITY: &str = "if you replaced the identity in another client, confirm it: \
    fourfold device verify --accept-identity, or compare emoji with a device that you trust; if \
    not, do not trust the homeserver";
