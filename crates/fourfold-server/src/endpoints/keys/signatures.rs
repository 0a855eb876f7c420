//! `/keys/signatures/upload`: signatures on keys that are published already.

use std::collections::BTreeMap;
use std::sync::Arc;

use ruma::canonical_json::CanonicalJsonValue;
use serde_json::{Value, json};

use super::attempts::MAX_ATTEMPTS;
use super::signed::SignedObject;
use crate::call::Call;
use crate::http::answer::{self, Handled};
use crate::http::error::MatrixError;
use crate::store::{
    DeviceId, KeyChange, KeyObjects, PublishedKeys, StoreError, UserId, UserSignature,
};

/// `POST /keys/signatures/upload`: adds signatures and never takes one away.
///
/// Three kinds of signature mean something: of one's self-signing key on one's devices, of one's
/// devices on one's master key, of one's user-signing key on the master key of another user. Each
/// key stands by itself: what is wrong with one is told under `failures`, and the others are stored.
pub(crate) async fn upload_signatures(call: Call) -> Handled {
    let user = call.user()?;
    let uploaded: Upload = call.body()?;
    let count: usize = uploaded.values().map(BTreeMap::len).sum();
    if count > MAX_KEYS {
        return Err(MatrixError::TooLarge("too many keys in one request".into()));
    }
    let store = &call.app.store;
    for _ in 0..MAX_ATTEMPTS {
        let own = store.keys(user).await?.unwrap_or_default();
        let mut signing = Signing::new(user, &own);
        for (owner, keys) in &uploaded {
            let owner = UserId::new(owner.as_str());
            let theirs = if owner == *user {
                None
            } else {
                Some(store.keys(&owner).await?.unwrap_or_default())
            };
            for (key, object) in keys {
                signing.take(&owner, theirs.as_ref(), key, object)?;
            }
        }
        let failures = json!({ "failures": signing.failures });
        let Some(objects) = signing.objects()? else {
            return answer::json(&failures);
        };
        let change = KeyChange {
            objects: Some(objects),
            one_time: None,
        };
        match store.put_keys(user, change).await {
            Err(StoreError::Changed) => {}
            done => {
                done?;
                return answer::json(&failures);
            }
        }
    }
    Err(MatrixError::ConcurrentWrite)
}

type Upload = BTreeMap<String, BTreeMap<String, Value>>;

/// The signatures of one request on their way into the keys.
struct Signing<'k> {
    user: &'k UserId,
    own: &'k PublishedKeys,
    devices: BTreeMap<DeviceId, SignedObject>,
    master: Option<SignedObject>,
    others: Vec<UserSignature>,
    failures: BTreeMap<String, BTreeMap<String, Value>>,
}

impl<'k> Signing<'k> {
    fn new(user: &'k UserId, own: &'k PublishedKeys) -> Self {
        Self {
            user,
            own,
            devices: BTreeMap::new(),
            master: None,
            others: Vec::new(),
            failures: BTreeMap::new(),
        }
    }

    /// Takes one signed key in, or notes why not.
    fn take(
        &mut self,
        owner: &UserId,
        theirs: Option<&Arc<PublishedKeys>>,
        key: &str,
        object: &Value,
    ) -> Result<(), MatrixError> {
        let parsed = CanonicalJsonValue::try_from(object.clone())
            .map_err(|_| Fault::Invalid("the key is not canonical JSON"))
            .and_then(|value| {
                SignedObject::parse(value).map_err(|_| Fault::Invalid("the key is malformed"))
            });
        let taken = match parsed {
            Err(fault) => Err(fault),
            Ok(signed) => match theirs {
                Some(theirs) => self.sign_other(owner, theirs, key, &signed)?,
                None => self.sign_own(key, &signed)?,
            },
        };
        if let Err(fault) = taken {
            let of_owner = self.failures.entry(owner.as_str().to_owned()).or_default();
            of_owner.insert(key.to_owned(), fault.body());
        }
        Ok(())
    }

    fn sign_own(&mut self, key: &str, signed: &SignedObject) -> Result<Taken, MatrixError> {
        if let Some(device) = self.own.device(key) {
            let stored = SignedObject::from_stored(&device.keys)?;
            let signer = self.own.cross_signing.self_signing.as_ref();
            let key_of = |id: &str| {
                let public_key = &signer?.public_key;
                (id.strip_prefix("ed25519:") == Some(public_key)).then(|| public_key.clone())
            };
            let merged = self.merge(&stored, signed, key_of);
            return Ok(merged.map(|merged| {
                self.devices.insert(device.device.clone(), merged);
            }));
        }
        let master = self.own.cross_signing.master.as_ref();
        if let Some(master) = master.filter(|master| master.public_key == unpadded(key)) {
            let stored = SignedObject::from_stored(&master.content)?;
            let key_of = |id: &str| device_key(self.own, id);
            let merged = self.merge(&stored, signed, key_of);
            return Ok(merged.map(|merged| self.master = Some(merged)));
        }
        Ok(Err(Fault::NotFound))
    }

    fn sign_other(
        &mut self,
        owner: &UserId,
        theirs: &PublishedKeys,
        key: &str,
        signed: &SignedObject,
    ) -> Result<Taken, MatrixError> {
        let master = theirs.cross_signing.master.as_ref();
        let Some(master) = master.filter(|master| master.public_key == unpadded(key)) else {
            return Ok(Err(Fault::NotFound));
        };
        if !SignedObject::from_stored(&master.content)?.same_content(signed) {
            return Ok(Err(CHANGED));
        }
        let Some(signer) = &self.own.cross_signing.user_signing else {
            return Ok(Err(Fault::Invalid("there is no user-signing key")));
        };
        let id = format!("ed25519:{}", signer.public_key);
        let signatures = signed.signatures().get(self.user.as_str());
        let signature = signatures.and_then(|signatures| signatures.get(&id));
        let Some(signature) = signature.filter(|it| signed.is_valid(it, &signer.public_key)) else {
            return Ok(Err(UNSIGNED));
        };
        let signature = UserSignature {
            user: owner.clone(),
            key: master.public_key.clone(),
            signing_key: id,
            signature: signature.clone(),
        };
        if !self.own.user_signatures.contains(&signature) {
            self.others.push(signature);
        }
        Ok(Ok(()))
    }

    /// The stored object with the new signatures; each must be valid under the key that `key_of`
    /// finds for its ID, or be there already.
    fn merge(
        &self,
        stored: &SignedObject,
        signed: &SignedObject,
        key_of: impl Fn(&str) -> Option<String>,
    ) -> Result<SignedObject, Fault> {
        if !stored.same_content(signed) {
            return Err(CHANGED);
        }
        let mut merged = stored.clone();
        let known = merged.signatures_mut();
        let known = known.entry(self.user.as_str().to_owned()).or_default();
        let signatures = signed.signatures().get(self.user.as_str());
        let signatures = signatures.filter(|it| !it.is_empty()).ok_or(UNSIGNED)?;
        for (id, signature) in signatures {
            if known.get(id) == Some(signature) {
                continue;
            }
            let valid = key_of(id).is_some_and(|key| signed.is_valid(signature, &key));
            if !valid {
                return Err(UNSIGNED);
            }
            known.insert(id.clone(), signature.clone());
        }
        Ok(merged)
    }

    /// The keys to store; `None` if all are stored.
    fn objects(self) -> Result<Option<KeyObjects>, MatrixError> {
        let mut objects = KeyObjects {
            revision: self.own.revision,
            user_signatures: self.others,
            ..KeyObjects::default()
        };
        for (device, object) in self.devices {
            let keys = object.to_bytes();
            let stored = self.own.device(device.as_str());
            if stored.is_none_or(|stored| stored.keys != keys) {
                objects.devices.push((device, keys));
            }
        }
        let mut keys = self.own.cross_signing.clone();
        if let (Some(object), Some(master)) = (self.master, &mut keys.master) {
            let content = object.to_bytes();
            if master.content != content {
                master.content = content;
                objects.cross_signing = Some(keys);
            }
        }
        let nothing = objects.devices.is_empty()
            && objects.user_signatures.is_empty()
            && objects.cross_signing.is_none();
        Ok(Some(objects).filter(|_| !nothing))
    }
}

/// The Ed25519 key that a device of the user has published under this ID.
fn device_key(own: &PublishedKeys, id: &str) -> Option<String> {
    let device = own.device(id.strip_prefix("ed25519:")?)?;
    let object = SignedObject::from_stored(&device.keys).ok()?;
    let key = object.keys()?.into_iter().find(|(known, _)| *known == id)?;
    Some(key.1.to_owned())
}

fn unpadded(key: &str) -> &str {
    key.trim_end_matches('=')
}

/// The result for one key.
type Taken = Result<(), Fault>;

/// Why one key was not taken in.
#[derive(Debug)]
enum Fault {
    NotFound,
    Invalid(&'static str),
}

impl Fault {
    fn body(&self) -> Value {
        match self {
            Self::NotFound => json!({ "errcode": "M_NOT_FOUND", "error": "there is no such key" }),
            Self::Invalid(error) => json!({ "errcode": "M_INVALID_SIGNATURE", "error": error }),
        }
    }
}

const CHANGED: Fault = Fault::Invalid("the key is not the one that is published");
const UNSIGNED: Fault = Fault::Invalid("a signature is missing, invalid or of a wrong key");

/// Keys in one request.
const MAX_KEYS: usize = 1_000;
