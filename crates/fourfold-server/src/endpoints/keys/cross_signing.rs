//! `/keys/device_signing/upload`: the three cross-signing keys of a user.

use bytes::Bytes;
use ruma::canonical_json::CanonicalJsonValue;
use serde::Deserialize;

use super::attempts::MAX_ATTEMPTS;
use super::signed::{SignedObject, normalised_key};
use super::upload::public_keys;
use crate::auth::confirmation;
use crate::auth::interactive::AuthData;
use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::{
    CrossSigningKey, CrossSigningKeys, Device, DeviceId, KeyChange, KeyObjects, PublishedKeys,
    StoreError, UserId,
};

/// `POST /keys/device_signing/upload`: replaces the keys that it names, all in one change.
///
/// The first upload, and one that brings nothing new, need no password. A new master key ends the
/// self-signing and the user-signing key that did not come with it, because nothing vouches for them
/// any more; what those had signed goes too.
pub(crate) async fn upload_cross_signing(call: Call) -> Handled {
    let user = call.user()?;
    let wanted: Upload = call.body()?;
    let uploaded = Uploaded {
        master: parse(user, wanted.master_key, "master")?,
        self_signing: parse(user, wanted.self_signing_key, "self_signing")?,
        user_signing: parse(user, wanted.user_signing_key, "user_signing")?,
    };
    let store = &call.app.store;
    let mut confirmed = false;
    for _ in 0..MAX_ATTEMPTS {
        let published = store.keys(user).await?.unwrap_or_default();
        // Everything that can be wrong is reported before the password is asked for.
        uploaded.check(user, &published, &store.devices(user).await?)?;
        if uploaded.is_stored_in(&published)? {
            return Ok(answer::empty());
        }
        if published.cross_signing.master.is_some() && !confirmed {
            confirmation::password(&call.app.auth, REQUEST, user, wanted.auth.as_ref()).await?;
            confirmed = true;
        }
        let change = KeyChange {
            objects: Some(uploaded.objects(user, &published)?),
            one_time: None,
        };
        match store.put_keys(user, change).await {
            Err(StoreError::Changed) => {}
            done => return Ok(done.map(|()| answer::empty())?),
        }
    }
    Err(MatrixError::ConcurrentWrite)
}

#[derive(Deserialize)]
struct Upload {
    auth: Option<AuthData>,
    master_key: Option<CanonicalJsonValue>,
    self_signing_key: Option<CanonicalJsonValue>,
    user_signing_key: Option<CanonicalJsonValue>,
}

/// The upload, with well-formed keys.
struct Uploaded {
    master: Option<UploadedKey>,
    self_signing: Option<UploadedKey>,
    user_signing: Option<UploadedKey>,
}

struct UploadedKey {
    public_key: String,
    /// The ID as it was uploaded.
    id: String,
    object: SignedObject,
}

impl Uploaded {
    fn keys(&self) -> impl Iterator<Item = &UploadedKey> {
        let keys = [&self.master, &self.self_signing, &self.user_signing];
        keys.into_iter().flatten()
    }

    /// Whether each key is signed by the master key, and none could be taken for a device.
    fn check(
        &self,
        user: &UserId,
        published: &PublishedKeys,
        devices: &[Device],
    ) -> Result<(), MatrixError> {
        let stored = published.cross_signing.master.as_ref();
        let master = match &self.master {
            Some(master) => Some(master.public_key.as_str()),
            None => stored.map(|key| key.public_key.as_str()),
        };
        let master = master.ok_or(MatrixError::MissingParam("master_key"))?;
        let id = format!("ed25519:{master}");
        let padded = self.master.as_ref().map_or(&id, |key| &key.id);
        for key in self.self_signing.iter().chain(&self.user_signing) {
            let object = &key.object;
            let mut ids = [&id, padded].into_iter();
            if !ids.any(|id| object.is_signed_by(user.as_str(), id, master)) {
                return Err(MatrixError::InvalidSignature(
                    "a key is not signed by the master key",
                ));
            }
        }
        let mut seen = Vec::new();
        for key in self.keys() {
            if seen.contains(&&key.public_key) {
                return Err(MatrixError::InvalidParam("a key has two usages"));
            }
            seen.push(&key.public_key);
            let same = |device: &Device| device.id.as_str().trim_end_matches('=') == key.public_key;
            if devices.iter().any(same) {
                return Err(MatrixError::Forbidden("a key is the ID of a device"));
            }
        }
        for device in &published.devices {
            let object = SignedObject::from_stored(&device.keys)?;
            if public_keys(&object).iter().any(|key| seen.contains(&key)) {
                return Err(MatrixError::InvalidParam("a key belongs to a device"));
            }
        }
        Ok(())
    }

    /// Whether all that was uploaded is there already.
    fn is_stored_in(&self, published: &PublishedKeys) -> Result<bool, MatrixError> {
        let stored = &published.cross_signing;
        for (uploaded, stored) in [
            (&self.master, &stored.master),
            (&self.self_signing, &stored.self_signing),
            (&self.user_signing, &stored.user_signing),
        ] {
            let Some(uploaded) = uploaded else { continue };
            let Some(stored) = stored else {
                return Ok(false);
            };
            if !uploaded
                .object
                .same_content(&SignedObject::from_stored(&stored.content)?)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn objects(&self, user: &UserId, published: &PublishedKeys) -> Result<KeyObjects, MatrixError> {
        let mut keys = published.cross_signing.clone();
        if let Some(master) = &self.master {
            let same = |stored: &CrossSigningKey| stored.public_key == master.public_key;
            if !keys.master.as_ref().is_some_and(same) {
                keys = CrossSigningKeys {
                    master: Some(master.to_store()),
                    ..CrossSigningKeys::default()
                };
            }
        }
        if let Some(key) = &self.self_signing {
            keys.self_signing = Some(key.to_store());
        }
        if let Some(key) = &self.user_signing {
            keys.user_signing = Some(key.to_store());
        }
        Ok(KeyObjects {
            revision: published.revision,
            devices: without_former_signatures(user, published, keys.self_signing.as_ref())?,
            cross_signing: Some(keys),
            user_signatures: Vec::new(),
        })
    }
}

impl UploadedKey {
    fn to_store(&self) -> CrossSigningKey {
        CrossSigningKey {
            public_key: self.public_key.clone(),
            content: self.object.to_bytes(),
        }
    }
}

/// The devices that a former self-signing key had signed, without that signature.
fn without_former_signatures(
    user: &UserId,
    published: &PublishedKeys,
    self_signing: Option<&CrossSigningKey>,
) -> Result<Vec<(DeviceId, Bytes)>, MatrixError> {
    let current = self_signing.map(|key| format!("ed25519:{}", key.public_key));
    let mut changed = Vec::new();
    for device in &published.devices {
        let mut object = SignedObject::from_stored(&device.keys)?;
        let own = format!("ed25519:{}", device.device.as_str());
        if let Some(signatures) = object.signatures_mut().get_mut(user.as_str()) {
            signatures.retain(|id, _| *id == own || Some(id) == current.as_ref());
        }
        let keys = object.to_bytes();
        if keys != device.keys {
            changed.push((device.device.clone(), keys));
        }
    }
    Ok(changed)
}

/// Checks the form of a key: its user, its usage, and that it holds one key under its own name.
fn parse(
    user: &UserId,
    value: Option<CanonicalJsonValue>,
    usage: &str,
) -> Result<Option<UploadedKey>, MatrixError> {
    let Some(value) = value else { return Ok(None) };
    let mut object = SignedObject::parse(value)?;
    if object.text("user_id") != Some(user.as_str()) {
        return Err(MatrixError::InvalidParam("a key is that of another user"));
    }
    let usages = object.texts("usage");
    if !usages.is_some_and(|usages| usages.contains(&usage)) {
        return Err(MatrixError::InvalidParam("a key has another usage"));
    }
    let keys = object.keys().unwrap_or_default();
    let [(id, key)] = keys.as_slice() else {
        return Err(MatrixError::InvalidParam("a key must hold one key"));
    };
    let public_key = normalised_key(key);
    let named = id.strip_prefix("ed25519:") == Some(*key);
    let Some(public_key) = public_key.filter(|_| named) else {
        return Err(MatrixError::InvalidParam(
            "the ID of a key must be ed25519: and its 32 bytes in base64",
        ));
    };
    let id = (*id).to_owned();
    object
        .signatures_mut()
        .retain(|signer, _| signer == user.as_str());
    if object.to_bytes().len() > MAX_KEY {
        return Err(MatrixError::TooLarge("a key is too large".into()));
    }
    Ok(Some(UploadedKey {
        public_key,
        id,
        object,
    }))
}

const REQUEST: &str = "replace cross-signing keys";

/// Bytes of one key with its signatures.
const MAX_KEY: usize = 64 * 1024;
