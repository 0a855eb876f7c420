//! The private keys of this device, and how its public ones look.

use fourfold::signable::Signable;
use fourfold::signed_json::{self, PublicKey};
use fourfold::{Content, identity};
use serde::{Deserialize, Serialize};
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{Account, AccountPickle};

use super::times::Times;
use crate::device::error::DeviceError;
use crate::local_state::{SealedRows, Table};

/// The Olm account of this device, with what the server knows of it.
pub(crate) struct OwnKeys {
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) account: Account,
    published: Published,
    times: Times,
}

/// The keys that are on the server, as far as known.
#[derive(Clone, Default, Deserialize, Serialize)]
struct Published {
    device_keys: bool,
    /// The number of one-time keys that the server holds; `None` if it never said.
    one_time_keys: Option<u64>,
    /// Whether the server holds a fallback key that was not used yet.
    fallback_key: bool,
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
    pub(crate) fn generate(user_id: &str, device_id: &str) -> Self {
        Self {
            user_id: user_id.to_owned(),
            device_id: device_id.to_owned(),
            account: Account::new(),
            published: Published::default(),
            times: Times::default(),
        }
    }

    /// The keys that are kept.
    pub(crate) fn load(rows: &SealedRows) -> Result<Self, DeviceError> {
        Self::find(rows)?.ok_or(DeviceError::Damaged)
    }

    /// The keys that are kept, if any are.
    pub(crate) fn find(rows: &SealedRows) -> Result<Option<Self>, DeviceError> {
        let row: Option<Row> = rows.get(Table::Account, "")?;
        Ok(row.map(|row| Self {
            user_id: row.user_id,
            device_id: row.device_id,
            account: Account::from_pickle(row.account),
            published: row.published,
            times: row.times,
        }))
    }

    pub(crate) fn save(&self, rows: &mut SealedRows) -> Result<(), DeviceError> {
        let row = Row {
            user_id: self.user_id.clone(),
            device_id: self.device_id.clone(),
            account: self.account.pickle(),
            published: self.published.clone(),
            times: self.times.clone(),
        };
        Ok(rows.put(Table::Account, "", &row)?)
    }

    /// The keys that the server lacks, created if necessary; `None` if it has everything.
    pub(crate) fn unpublished(&mut self, now: u64) -> Result<Option<Content>, DeviceError> {
        self.make_missing(now);
        let mut body = Content::default();
        if !self.published.device_keys {
            body.insert("device_keys", &self.device_keys()?);
        }
        let one_time_keys = self.one_time_keys()?;
        if !one_time_keys.is_empty() {
            body.insert("one_time_keys", &one_time_keys);
        }
        let fallback_keys = self.fallback_keys()?;
        if !fallback_keys.is_empty() {
            body.insert("fallback_keys", &fallback_keys);
        }
        Ok((!body.is_empty()).then_some(body))
    }

    /// Notes that the server has them, and how many one-time keys it holds.
    pub(crate) fn uploaded(&mut self, count: u64) {
        self.account.mark_keys_as_published();
        self.published.device_keys = true;
        self.published.one_time_keys = Some(count);
        self.published.fallback_key = true;
    }

    /// Returns `true` if the keys of the device were uploaded before.
    pub(crate) fn are_published(&self) -> bool {
        self.published.device_keys
    }

    /// Takes in what the server says to hold: how many one-time keys, and whether a fallback key.
    /// `None` when that is no news; else whether it holds more than there are private halves here.
    pub(crate) fn observe(
        &mut self,
        count: Option<u64>,
        has_fallback_key: Option<bool>,
        now: u64,
    ) -> Option<bool> {
        let forget = self.times.is_older_fallback_key_over(now);
        let is_news = count.is_some_and(|count| self.published.one_time_keys != Some(count))
            || has_fallback_key.is_some_and(|has| self.published.fallback_key != has)
            || forget;
        if !is_news {
            return None;
        }
        if forget {
            self.account.forget_fallback_key();
            self.times.forgot_fallback_key();
        }
        if let Some(has) = has_fallback_key {
            self.published.fallback_key = has;
        }
        let stored = u64::try_from(self.account.stored_one_time_key_count()).unwrap_or(u64::MAX);
        if let Some(count) = count {
            self.published.one_time_keys = Some(count.min(stored));
        }
        Some(count.is_some_and(|count| count > stored))
    }

    /// Begins again after the files turned out to be an older copy; `false` when that was done
    /// within a day.
    pub(crate) fn start_over(&mut self, now: u64) -> bool {
        if !self.times.start_over(now) {
            return false;
        }
        // The IDs of keys that were made after the copy was taken are not used a second time, as far
        // as can be told from here.
        self.account.generate_one_time_keys(SKIPPED_IDS);
        self.account.mark_keys_as_published();
        // The keys of the device stay: uploaded again, some servers forget who signed them.
        self.published.one_time_keys = None;
        self.published.fallback_key = false;
        true
    }

    /// The published form, signed by itself.
    pub(crate) fn device_keys(&self) -> Result<Content, DeviceError> {
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
    fn one_time_keys(&self) -> Result<Content, DeviceError> {
        let mut keys = Content::default();
        for (id, key) in self.account.one_time_keys() {
            let key = self.signed_key(key, false)?;
            keys.insert(format!("signed_curve25519:{}", id.to_base64()), &key);
        }
        Ok(keys)
    }

    /// The fallback key, if it was not published yet, in the same form.
    fn fallback_keys(&self) -> Result<Content, DeviceError> {
        let mut keys = Content::default();
        for (id, key) in self.account.fallback_key() {
            let key = self.signed_key(key, true)?;
            keys.insert(format!("signed_curve25519:{}", id.to_base64()), &key);
        }
        Ok(keys)
    }

    /// Adds the signature of this device; see [`Device::sign`](crate::Device::sign). Nothing else
    /// here signs.
    pub(crate) fn sign(&self, object: &mut Signable) -> Result<(), DeviceError> {
        signed_json::sign_with(object, &self.user_id, &self.key_id(), |message| {
            self.account.sign(message).to_bytes()
        })?;
        Ok(())
    }

    /// Makes what the server lacks.
    fn make_missing(&mut self, now: u64) {
        let on_server = self.published.one_time_keys.unwrap_or(0);
        // Keys that an upload was begun with come before any new ones.
        if self.account.one_time_keys().is_empty() && on_server < MIN_ONE_TIME_KEYS {
            let missing = MAX_ONE_TIME_KEYS.saturating_sub(on_server);
            let allowed = self.times.allow_one_time_keys(missing, now);
            self.account
                .generate_one_time_keys(usize::try_from(allowed).unwrap_or_default());
        }
        if self.account.fallback_key().is_empty()
            && !self.published.fallback_key
            && self.times.may_make_fallback_key(now)
        {
            self.account.generate_fallback_key();
            self.times.made_fallback_key(now);
        }
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

/// The algorithms that this device announces. It has no rooms, but other clients take a device
/// without the second for one that cannot encrypt at all.
const ALGORITHMS: [&str; 2] = ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"];

/// The number of one-time keys that are kept on the server.
const MAX_ONE_TIME_KEYS: u64 = 50;

/// With fewer than this, the server is filled up.
const MIN_ONE_TIME_KEYS: u64 = 25;

/// The number of IDs of one-time keys that are skipped after the files turned out to be an older
/// copy.
const SKIPPED_IDS: usize = 100;
