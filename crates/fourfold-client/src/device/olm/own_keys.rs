//! The private keys of this device, and how its public ones look.

use fourfold::signable::Signable;
use fourfold::signed_json::{self, PublicKey};
use fourfold::{Content, identity};
use serde::{Deserialize, Serialize};
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{Account, AccountPickle};

use crate::device::DeviceError;
use crate::device::upkeep::Times;
use crate::local_state::{SealedRows, Table};

/// The Olm account of this device, with what the server knows of it.
pub(in crate::device) struct OwnKeys {
    pub(in crate::device) user_id: String,
    pub(in crate::device) device_id: String,
    pub(in crate::device) account: Account,
    pub(in crate::device) published: Published,
    pub(in crate::device) times: Times,
}

/// What of the keys is on the server, as far as is known.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(in crate::device) struct Published {
    pub(in crate::device) device_keys: bool,
    /// How many one-time keys the server holds; `None` when it never said.
    pub(in crate::device) one_time_keys: Option<u64>,
    /// Whether the server holds a fallback key that was not used yet.
    pub(in crate::device) fallback_key: bool,
}

#[derive(Deserialize, Serialize)]
struct Row {
    user_id: String,
    device_id: String,
    account: AccountPickle,
    published: Published,
    #[serde(default)]
    times: Times,
}

impl OwnKeys {
    pub(in crate::device) fn generate(user_id: &str, device_id: &str) -> Self {
        Self {
            user_id: user_id.to_owned(),
            device_id: device_id.to_owned(),
            account: Account::new(),
            published: Published::default(),
            times: Times::default(),
        }
    }

    pub(in crate::device) fn load(rows: &SealedRows) -> Result<Option<Self>, DeviceError> {
        let row: Option<Row> = rows.get(Table::Account, "")?;
        Ok(row.map(|row| Self {
            user_id: row.user_id,
            device_id: row.device_id,
            account: Account::from_pickle(row.account),
            published: row.published,
            times: row.times,
        }))
    }

    pub(in crate::device) fn save(&self, rows: &mut SealedRows) -> Result<(), DeviceError> {
        let row = Row {
            user_id: self.user_id.clone(),
            device_id: self.device_id.clone(),
            account: self.account.pickle(),
            published: self.published.clone(),
            times: self.times.clone(),
        };
        Ok(rows.put(Table::Account, "", &row)?)
    }

    /// The published form, signed by itself.
    pub(in crate::device) fn device_keys(&self) -> Result<Content, DeviceError> {
        let curve25519 = core_key(self.account.curve25519_key())?;
        let ed25519 = PublicKey::from_base64(&self.account.ed25519_key().to_base64())
            .map_err(|_| DeviceError::Unsignable)?;
        let mut keys = Signable::device_keys(
            &self.user_id,
            &self.device_id,
            &ALGORITHMS,
            curve25519,
            ed25519,
        );
        self.sign(&mut keys)?;
        Ok(keys.into_content())
    }

    /// The one-time keys that were not published yet, each signed, by the ID under which the server
    /// hands it out.
    pub(in crate::device) fn one_time_keys(&self) -> Result<Content, DeviceError> {
        let mut keys = Content::default();
        for (id, key) in self.account.one_time_keys() {
            let key = self.signed_key(key, false)?;
            keys.insert(format!("signed_curve25519:{}", id.to_base64()), &key);
        }
        Ok(keys)
    }

    /// The fallback key, if it was not published yet, in the same form.
    pub(in crate::device) fn fallback_keys(&self) -> Result<Content, DeviceError> {
        let mut keys = Content::default();
        for (id, key) in self.account.fallback_key() {
            let key = self.signed_key(key, true)?;
            keys.insert(format!("signed_curve25519:{}", id.to_base64()), &key);
        }
        Ok(keys)
    }

    /// Adds the signature of this device; see [`Device::sign`](crate::Device::sign). Nothing else
    /// here signs.
    pub(in crate::device) fn sign(&self, object: &mut Signable) -> Result<(), DeviceError> {
        signed_json::sign_with(object, &self.user_id, &self.key_id(), |message| {
            self.account.sign(message).to_bytes()
        })?;
        Ok(())
    }

    fn signed_key(&self, key: Curve25519PublicKey, fallback: bool) -> Result<Content, DeviceError> {
        let key = core_key(key)?;
        let mut object = if fallback {
            Signable::fallback_key(key)
        } else {
            Signable::one_time_key(key)
        };
        self.sign(&mut object)?;
        Ok(object.into_content())
    }

    fn key_id(&self) -> String {
        format!("ed25519:{}", self.device_id)
    }
}

/// A key as the core knows it. It has no low-order points, and an honest account makes none.
fn core_key(key: Curve25519PublicKey) -> Result<identity::Curve25519PublicKey, DeviceError> {
    identity::Curve25519PublicKey::from_bytes(key.to_bytes()).map_err(|_| DeviceError::Unsignable)
}

/// What this device says to understand. It has no rooms, but other clients take a device without
/// the second for one that cannot encrypt at all.
const ALGORITHMS: [&str; 2] = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"];
