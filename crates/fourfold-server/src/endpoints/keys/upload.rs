//! `/keys/upload`.

use std::collections::BTreeMap;

use ruma::canonical_json::CanonicalJsonValue;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::attempts::MAX_ATTEMPTS;
use super::signed::{SIGNED_CURVE25519, SignedObject, normalised_key};
use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::{
    DeviceId, KeyChange, KeyObjects, OneTimeKey, OneTimeUpload, PublishedKeys, Session, StoreError,
};

/// `POST /keys/upload`: device keys, one-time keys and fallback keys, all of them or none.
///
/// The identity keys of a device never change: a device that has lost its keys is a new device. Nor are
/// they those of another device or of the cross-signing identity: messages are encrypted for a key and
/// signatures are made by one, and neither may belong to two.
pub(crate) async fn upload(call: Call) -> Handled {
    let session = call.session()?;
    let wanted: Upload = call.body()?;
    let device_keys = match wanted.device_keys {
        Some(keys) => Some(device_keys(session, keys)?),
        None => None,
    };
    let one_time = OneTimeUpload {
        device: session.device.clone(),
        one_time_keys: one_time_keys(wanted.one_time_keys.unwrap_or_default())?,
        fallback_keys: fallback_keys(
            wanted
                .fallback_keys
                .or(wanted.unstable_fallback_keys)
                .unwrap_or_default(),
        )?,
    };
    let change = KeyChange {
        objects: None,
        one_time: Some(one_time)
            .filter(|upload| !upload.one_time_keys.is_empty() || !upload.fallback_keys.is_empty()),
    };
    store(&call, session, change, device_keys).await?;

    let counts = call
        .app
        .store
        .key_counts(&session.user, &session.device)
        .await?;
    let mut one_time_keys = counts.one_time_keys;
    one_time_keys
        .entry(SIGNED_CURVE25519.to_owned())
        .or_default();
    answer::json(&json!({ "one_time_key_counts": one_time_keys }))
}

async fn store(
    call: &Call,
    session: &Session,
    mut change: KeyChange,
    device_keys: Option<SignedObject>,
) -> Result<(), MatrixError> {
    let store = &call.app.store;
    for _ in 0..MAX_ATTEMPTS {
        if let Some(uploaded) = &device_keys {
            let published = store.keys(&session.user).await?.unwrap_or_default();
            change.objects = merge(&published, &session.device, uploaded)?;
        }
        if change.objects.is_none() && change.one_time.is_none() {
            return Ok(());
        }
        match store.put_keys(&session.user, change.clone()).await {
            // Something else of this user changed in between: decide again.
            Err(StoreError::Changed) => {}
            done => return done.map_err(MatrixError::from),
        }
    }
    Err(MatrixError::ConcurrentWrite)
}

/// What is to be stored, `None` when it is there already. Signatures that others of the user's keys
/// made on the same object stay.
fn merge(
    published: &PublishedKeys,
    device: &DeviceId,
    uploaded: &SignedObject,
) -> Result<Option<KeyObjects>, MatrixError> {
    let mut merged = uploaded.clone();
    if let Some(stored) = published.device(device.as_str()) {
        let known = SignedObject::from_stored(&stored.keys)?;
        if identity_keys(&known) != identity_keys(uploaded) {
            return Err(MatrixError::InvalidParam(
                "the identity keys of a device never change; log in as a new device",
            ));
        }
        if known.same_content(uploaded) {
            for (user, keys) in known.signatures() {
                let merged = merged.signatures_mut().entry(user.clone()).or_default();
                for (id, signature) in keys {
                    merged
                        .entry(id.clone())
                        .or_insert_with(|| signature.clone());
                }
            }
        }
        if merged.to_bytes() == stored.keys {
            return Ok(None);
        }
    }
    if is_taken(published, device, uploaded)? {
        return Err(MatrixError::InvalidParam(
            "an identity key is already that of another device or of the cross-signing identity",
        ));
    }
    Ok(Some(KeyObjects {
        revision: published.revision,
        devices: vec![(device.clone(), merged.to_bytes())],
        ..KeyObjects::default()
    }))
}

/// Whether one of the identity keys is published by the same user already, in any spelling and for
/// whatever purpose, but by this device.
fn is_taken(
    published: &PublishedKeys,
    device: &DeviceId,
    uploaded: &SignedObject,
) -> Result<bool, MatrixError> {
    let wanted = public_keys(uploaded);
    let is_wanted = |key: &String| wanted.contains(key);
    if published
        .cross_signing
        .iter()
        .any(|key| is_wanted(&key.public_key))
    {
        return Ok(true);
    }
    for other in published.devices.iter().filter(|it| it.device != *device) {
        let other = SignedObject::from_stored(&other.keys)?;
        if public_keys(&other).iter().any(is_wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The identity keys in one spelling.
pub(super) fn public_keys(keys: &SignedObject) -> Vec<String> {
    let keys = identity_keys(keys).unwrap_or_default();
    keys.into_iter()
        .filter_map(|(_, key)| normalised_key(key))
        .collect()
}

fn identity_keys(keys: &SignedObject) -> Option<Vec<(&str, &str)>> {
    let mut keys = keys.keys()?;
    keys.retain(|(id, _)| id.starts_with("ed25519:") || id.starts_with("curve25519:"));
    Some(keys)
}

/// Checks the keys of the device that the token belongs to.
fn device_keys(session: &Session, value: CanonicalJsonValue) -> Result<SignedObject, MatrixError> {
    let bad = |fault: &'static str| MatrixError::InvalidParam(fault);
    let (user, device) = (session.user.as_str(), session.device.as_str());
    let mut object = SignedObject::parse(value)?;
    if object.text("user_id") != Some(user) || object.text("device_id") != Some(device) {
        return Err(bad("the device keys are those of another user or device"));
    }
    if object.texts("algorithms").is_none() {
        return Err(bad("algorithms must be a list of text"));
    }
    let keys = object
        .keys()
        .ok_or_else(|| bad("keys must be an object of text"))?;
    for (id, key) in &keys {
        let (algorithm, owner) = id.split_once(':').unwrap_or_default();
        if owner != device {
            return Err(bad("the ID of a key must be ALGORITHM:DEVICE"));
        }
        let known = matches!(algorithm, "ed25519" | "curve25519");
        if known && normalised_key(key).is_none() {
            return Err(bad("a key is not 32 bytes in base64"));
        }
    }
    let find = |algorithm: &str| {
        let id = format!("{algorithm}:{device}");
        let key = keys.iter().find(|(known, _)| *known == id)?.1;
        Some((id, key))
    };
    let (Some((id, key)), Some(_)) = (find("ed25519"), find("curve25519")) else {
        return Err(bad("a device has an ed25519 and a curve25519 key"));
    };
    if !object.is_signed_by(user, &id, key) {
        return Err(bad("the device keys are not signed by the device"));
    }
    // What others may have signed comes through /keys/signatures/upload, where it is checked.
    object.signatures_mut().retain(|signer, _| signer == user);
    if object.to_bytes().len() > MAX_DEVICE_KEYS {
        return Err(MatrixError::TooLarge(
            "the device keys are too large".into(),
        ));
    }
    Ok(object)
}

fn one_time_keys(keys: Keys) -> Result<Vec<OneTimeKey>, MatrixError> {
    keys.into_iter()
        .map(|(id, key)| one_time_key(&id, key))
        .collect()
}

fn fallback_keys(keys: Keys) -> Result<Vec<OneTimeKey>, MatrixError> {
    let keys = one_time_keys(keys)?;
    for (index, key) in keys.iter().enumerate() {
        let twice = keys.iter().skip(index + 1);
        if twice.clone().any(|it| it.algorithm == key.algorithm) {
            return Err(MatrixError::InvalidParam(
                "there may be only one fallback key for each algorithm",
            ));
        }
    }
    Ok(keys)
}

fn one_time_key(id: &str, key: CanonicalJsonValue) -> Result<OneTimeKey, MatrixError> {
    let bad = |fault: &'static str| MatrixError::InvalidParam(fault);
    let (algorithm, name) = id
        .split_once(':')
        .filter(|(_, name)| !name.is_empty() && !name.contains(':') && name.len() <= MAX_NAME)
        .ok_or_else(|| bad("the ID of a one-time key must be ALGORITHM:NAME"))?;
    let text = match algorithm {
        SIGNED_CURVE25519 => SignedObject::parse(key.clone())?
            .text("key")
            .and_then(normalised_key),
        "curve25519" => key.as_str().and_then(normalised_key),
        _ => return Err(bad("the algorithm of a one-time key is unknown")),
    };
    if text.is_none() {
        return Err(bad("a one-time key is not 32 bytes in base64"));
    }
    let text = key.to_string();
    if text.len() > MAX_ONE_TIME {
        return Err(MatrixError::TooLarge("a one-time key is too large".into()));
    }
    Ok(OneTimeKey {
        algorithm: algorithm.to_owned(),
        id: name.to_owned(),
        key: text.into(),
    })
}

type Keys = BTreeMap<String, CanonicalJsonValue>;

#[derive(Deserialize)]
struct Upload {
    #[serde(default, deserialize_with = "present")]
    device_keys: Option<CanonicalJsonValue>,
    one_time_keys: Option<Keys>,
    fallback_keys: Option<Keys>,
    #[serde(rename = "org.matrix.msc2732.fallback_keys")]
    unstable_fallback_keys: Option<Keys>,
}

/// A member that is there is a value, `null` too.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<CanonicalJsonValue>, D::Error> {
    CanonicalJsonValue::deserialize(deserializer).map(Some)
}

/// Bytes of the keys of one device.
const MAX_DEVICE_KEYS: usize = 32 * 1024;

/// Bytes of one one-time key; a signed one has about 200.
const MAX_ONE_TIME: usize = 4 * 1024;

const MAX_NAME: usize = 255;
