//! Verifying this device with a key of secret storage.
//!
//! What is signed is built from this device's own keys, never from what the homeserver shows; and
//! what counts in the end is the signature that the homeserver gives back, verified here.

use fourfold::{KeyCheckOutcome, KeyId, SecretName};
use fourfold_client::{Device, DeviceError, VerifySelfError};
use serde::Serialize;

use super::options::Options;
use crate::account::LoggedIn;
use crate::account::own_device::{self, ThisDevice};
use crate::commands::device::private_keys;
use crate::error::{Error, Exit, Result};
use crate::hints::from_a_device;
use crate::options::Global;
use crate::storage::unlock;
use crate::terminal::{messages, output, shown};

/// Fetches the private keys, compares them with what is published, signs this device, and checks
/// that the signature is there.
pub(super) fn run(global: &Global, options: &Options) -> Result<()> {
    let mut outcome = Outcome::default();
    let result = verify(global, options, &mut outcome);
    if global.json {
        output::json(&outcome)?;
    } else if result.is_ok() {
        let is = if outcome.pinned_master_key.is_some() {
            "verified"
        } else {
            "signed, and verified for your other devices"
        };
        output::line(format_args!("this device is {is}: {}", outcome.device_id))?;
    }
    result
}

/// The outcome, step by step.
#[derive(Default, Serialize)]
struct Outcome {
    device_id: String,
    key_id: Option<KeyId>,
    is_key_valid: bool,
    secrets_opened: Vec<SecretName>,
    identity_matches: bool,
    /// The public master key that this machine pins from now on.
    pinned_master_key: Option<String>,
    /// Whether the homeserver took the signature; `null` when there was nothing to upload.
    is_signature_accepted: Option<bool>,
    /// Whether the homeserver shows this device, signed, verified here.
    is_device_signed: bool,
}

fn verify(global: &Global, options: &Options, outcome: &mut Outcome) -> Result<()> {
    let mut logged_in = LoggedIn::open(global)?;
    own_device::forget_signature(&mut logged_in)?;
    outcome.device_id = own_device::id(&logged_in)?;
    let snapshot = logged_in.snapshot_to_change(&options.unlock.input, options.accept)?;
    let published = own_device::published(&logged_in)?;
    published.identity().self_signing_key().map_err(|error| {
        Error::new(
            Exit::NotVerified,
            format!("there is no identity to verify this device with: {error}"),
        )
        .hint("fourfold setup makes one")
    })?;

    let this = ThisDevice::open(&mut logged_in, &options.sealing)?;
    if let Some(trust) = &this.remembered.trust
        && let Err(other) = trust.check_published(published.identity())
    {
        if !options.accept_identity {
            return Err(DeviceError::from(other).into());
        }
        messages::warn(format_args!(
            "the identity with the master key {} replaces the one that this machine knew, \
             {}",
            other.master, other.pinned
        ));
    }

    let storage = snapshot.storage();
    let candidates = unlock::candidates(&snapshot, &options.unlock)?;
    let found = unlock::one_of(&snapshot, &candidates, &options.unlock.input)?;
    outcome.key_id = Some(found.key.id().clone());
    outcome.is_key_valid = found.outcome == KeyCheckOutcome::Verified;
    let is_certain = if outcome.is_key_valid {
        "valid"
    } else {
        "uncertain"
    };
    let label = unlock::label(&storage, found.key.id());
    messages::say(format_args!("key:       {is_certain}, {label}"));

    let opened = private_keys::open(&snapshot, &found.key, &published);
    outcome.secrets_opened = opened.names().to_vec();
    let names: Vec<_> = opened.names().iter().map(SecretName::as_str).collect();
    messages::say(format_args!("secrets:   opened {}", list(&names)));
    let replaced = opened.replaced().copied();
    let keys = opened.for_signing_devices()?;
    logged_in.opened(&snapshot, &outcome.secrets_opened, found.key.id())?;
    outcome.identity_matches = replaced.is_none();
    match replaced {
        None => messages::say("identity:  matches what the homeserver publishes"),
        Some(replaced) => messages::say(format_args!("identity:  {replaced}")),
    }

    this.check_is_ours(&published)?;
    let mut device = this.keep(&mut logged_in, &options.sealing)?;
    let signed = own_device::sign_self(
        &mut logged_in,
        &snapshot,
        &mut device,
        &keys,
        options.accept_identity,
    );
    outcome.is_signature_accepted = match &signed {
        Ok(was_signed_now) => was_signed_now.then_some(true),
        Err(VerifySelfError::Sign(error)) => Some(error.is_accepted()),
        Err(_) => None,
    };
    signed?;
    outcome.is_device_signed = true;
    messages::say(format_args!(
        "device:    signed, and the homeserver shows it ({})",
        shown::fingerprint(device.ed25519())
    ));
    match keys.master_key() {
        Some(master) => {
            let master = master.public_key();
            own_device::hold_on_to(&logged_in, &mut device, master, options.accept_identity)?;
            outcome.pinned_master_key = Some(master.to_base64());
        }
        None => say_without_master_key(&device, outcome),
    }
    Ok(())
}

/// The device is signed; what this machine can do then depends on whether it knows the identity.
fn say_without_master_key(device: &Device, outcome: &mut Outcome) {
    let master = SecretName::master_key();
    match device.trust().pinned() {
        Some((pinned, _)) => {
            outcome.pinned_master_key = Some(pinned.to_base64());
            messages::warn("the master key is not in secret storage");
        }
        None => messages::warn(
            "the private master key is not at hand, so this machine cannot tell your identity from \
             a false one: it trusts no other device, and asks none",
        ),
    }
    messages::hint(from_a_device(&master));
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
