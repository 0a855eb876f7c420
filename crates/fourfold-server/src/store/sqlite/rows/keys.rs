//! Published keys: device keys, cross-signing keys, one-time and fallback keys.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::store::sqlite::state::UserState;
use crate::store::sqlite::writer::{Batch, WriteError};
use crate::store::sqlite::{SqliteStore, unsigned};
use crate::store::{
    ClaimedKey, CrossSigningKey, CrossSigningKeys, DeviceId, KeyChange, KeyCounts, KeyObjects,
    KeyStore, OneTimeKey, OneTimeUpload, PublishedDevice, PublishedKeys, Quotas, StoreError,
    UserId, UserSignature, WantedKey,
};

#[async_trait]
impl KeyStore for SqliteStore {
    async fn keys(&self, user: &UserId) -> Result<Option<Arc<PublishedKeys>>, StoreError> {
        let entry = self.user(user).await?;
        Ok(entry.map(|entry| Arc::clone(&entry.read().keys)))
    }

    async fn put_keys(&self, user: &UserId, change: KeyChange) -> Result<(), StoreError> {
        let (user, quotas) = (user.clone(), self.quotas.clone());
        self.writer
            .write(move |batch| put(batch, &user, &change, &quotas))
            .await
    }

    async fn key_counts(&self, user: &UserId, device: &DeviceId) -> Result<KeyCounts, StoreError> {
        let entry = self.user(user).await?;
        let counts = entry.and_then(|entry| entry.read().key_counts.get(device).cloned());
        Ok(counts.unwrap_or_default())
    }

    async fn claim_keys(
        &self,
        user: &UserId,
        wanted: Vec<WantedKey>,
    ) -> Result<Vec<ClaimedKey>, StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| claim(batch, &user, &wanted))
            .await
    }
}

/// Everything is checked before the first change, because a refusal must leave no trace.
fn put(
    batch: &mut Batch<'_>,
    user: &UserId,
    change: &KeyChange,
    quotas: &Quotas,
) -> Result<(), WriteError> {
    let revision = batch.counters(user)?.device_list_position;
    if let Some(objects) = &change.objects {
        if objects.revision != revision {
            return Err(WriteError::Refused(StoreError::Changed));
        }
        check_user_signatures(batch, user, objects, quotas.user_signatures)?;
    }
    if let Some(upload) = &change.one_time {
        let fresh = fresh_keys(batch, user, upload, quotas.one_time_keys)?;
        add_one_time_keys(batch, user, upload, &fresh)?;
    }
    if let Some(objects) = &change.objects {
        put_objects(batch, user, objects)?;
    }
    Ok(())
}

fn put_objects(
    batch: &mut Batch<'_>,
    user: &UserId,
    objects: &KeyObjects,
) -> Result<(), WriteError> {
    let connection = batch.connection();
    for (device, keys) in &objects.devices {
        connection
            .prepare_cached(
                "INSERT INTO device_keys (user_id, device_id, keys) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET keys = ?3",
            )?
            .execute(params![user.as_str(), device.as_str(), &**keys])?;
    }
    if let Some(cross_signing) = &objects.cross_signing {
        put_cross_signing(batch, user, cross_signing)?;
    }
    for signature in &objects.user_signatures {
        connection
            .prepare_cached(
                "INSERT INTO user_signatures (user_id, signed_user, signed_key, signing_key,
                    signature) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET signature = ?5",
            )?
            .execute(params![
                user.as_str(),
                signature.user.as_str(),
                signature.key,
                signature.signing_key,
                signature.signature,
            ])?;
    }
    batch.move_device_list(user)
}

fn put_cross_signing(
    batch: &Batch<'_>,
    user: &UserId,
    keys: &CrossSigningKeys,
) -> Result<(), WriteError> {
    let connection = batch.connection();
    connection
        .prepare_cached("DELETE FROM cross_signing_keys WHERE user_id = ?1")?
        .execute([user.as_str()])?;
    for (usage, key) in [
        (MASTER, &keys.master),
        (SELF_SIGNING, &keys.self_signing),
        (USER_SIGNING, &keys.user_signing),
    ] {
        let Some(key) = key else { continue };
        connection
            .prepare_cached(
                "INSERT INTO cross_signing_keys (user_id, usage, public_key, content)
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![user.as_str(), usage, key.public_key, &*key.content])?;
    }
    let signing_key = keys
        .user_signing
        .as_ref()
        .map(|key| format!("ed25519:{}", key.public_key));
    connection
        .prepare_cached("DELETE FROM user_signatures WHERE user_id = ?1 AND signing_key IS NOT ?2")?
        .execute(params![user.as_str(), signing_key])?;
    Ok(())
}

fn check_user_signatures(
    batch: &Batch<'_>,
    user: &UserId,
    objects: &KeyObjects,
    most: u64,
) -> Result<(), WriteError> {
    if objects.user_signatures.is_empty() {
        return Ok(());
    }
    let count: i64 = batch
        .connection()
        .prepare_cached("SELECT count(*) FROM user_signatures WHERE user_id = ?1")?
        .query_row([user.as_str()], |row| row.get(0))?;
    let added = u64::try_from(objects.user_signatures.len()).unwrap_or(u64::MAX);
    if unsigned(count).saturating_add(added) > most {
        return Err(WriteError::Refused(StoreError::Quota(
            "signatures on other users",
        )));
    }
    Ok(())
}

/// The one-time keys that are not there yet.
fn fresh_keys<'u>(
    batch: &Batch<'_>,
    user: &UserId,
    upload: &'u OneTimeUpload,
    most: u64,
) -> Result<Vec<&'u OneTimeKey>, WriteError> {
    let connection = batch.connection();
    let device = upload.device.as_str();
    let exists = connection
        .prepare_cached("SELECT 1 FROM devices WHERE user_id = ?1 AND device_id = ?2")?
        .exists(params![user.as_str(), device])?;
    if !exists {
        return Err(WriteError::Refused(StoreError::NoSuchDevice));
    }
    let mut fresh = Vec::new();
    for key in &upload.one_time_keys {
        let known: Option<Vec<u8>> = connection
            .prepare_cached(
                "SELECT key FROM one_time_keys
                 WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3 AND key_id = ?4",
            )?
            .query_row(
                params![user.as_str(), device, key.algorithm, key.id],
                |row| row.get(0),
            )
            .optional()?;
        match known {
            Some(known) if *known == *key.key => {}
            Some(_) => return Err(WriteError::Refused(StoreError::KeyInUse)),
            None => fresh.push(key),
        }
    }
    if !fresh.is_empty() {
        let count: i64 = connection
            .prepare_cached(
                "SELECT count(*) FROM one_time_keys WHERE user_id = ?1 AND device_id = ?2",
            )?
            .query_row(params![user.as_str(), device], |row| row.get(0))?;
        let added = u64::try_from(fresh.len()).unwrap_or(u64::MAX);
        if unsigned(count).saturating_add(added) > most {
            return Err(WriteError::Refused(StoreError::Quota("one-time keys")));
        }
    }
    Ok(fresh)
}

fn add_one_time_keys(
    batch: &mut Batch<'_>,
    user: &UserId,
    upload: &OneTimeUpload,
    fresh: &[&OneTimeKey],
) -> Result<(), WriteError> {
    let connection = batch.connection();
    let device = upload.device.as_str();
    if !fresh.is_empty() {
        let last: i64 = connection
            .prepare_cached(
                "SELECT coalesce(max(ordinal), 0) FROM one_time_keys
                 WHERE user_id = ?1 AND device_id = ?2",
            )?
            .query_row(params![user.as_str(), device], |row| row.get(0))?;
        let mut insert = connection.prepare_cached(
            "INSERT INTO one_time_keys (user_id, device_id, algorithm, key_id, ordinal, key)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (key, ordinal) in fresh.iter().zip(last.saturating_add(1)..) {
            let values = params![
                user.as_str(),
                device,
                key.algorithm,
                key.id,
                ordinal,
                &*key.key
            ];
            insert.execute(values)?;
        }
    }
    for key in &upload.fallback_keys {
        connection
            .prepare_cached(
                "INSERT INTO fallback_keys (user_id, device_id, algorithm, key_id, key, used)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0)
                 ON CONFLICT DO UPDATE SET key_id = ?4, key = ?5, used = 0
                 WHERE key_id <> ?4 OR key <> ?5",
            )?
            .execute(params![
                user.as_str(),
                device,
                key.algorithm,
                key.id,
                &*key.key
            ])?;
    }
    batch.reload(user);
    Ok(())
}

fn claim(
    batch: &mut Batch<'_>,
    user: &UserId,
    wanted: &[WantedKey],
) -> Result<Vec<ClaimedKey>, WriteError> {
    let connection = batch.connection();
    let mut claimed = Vec::with_capacity(wanted.len());
    for WantedKey { device, algorithm } in wanted {
        let values = params![user.as_str(), device.as_str(), algorithm];
        let one_time = connection
            .prepare_cached(
                "DELETE FROM one_time_keys
                 WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3 AND key_id = (
                    SELECT key_id FROM one_time_keys
                    WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3
                    ORDER BY ordinal LIMIT 1)
                 RETURNING key_id, key",
            )?
            .query_row(values, |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))
            .optional()?;
        let found = match one_time {
            Some(found) => Some(found),
            None => connection
                .prepare_cached(
                    "UPDATE fallback_keys SET used = 1
                     WHERE user_id = ?1 AND device_id = ?2 AND algorithm = ?3
                     RETURNING key_id, key",
                )?
                .query_row(values, |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?,
        };
        if let Some((id, key)) = found {
            let (algorithm, key) = (algorithm.clone(), Bytes::from(key));
            let key = OneTimeKey { algorithm, id, key };
            let device = device.clone();
            claimed.push(ClaimedKey { device, key });
        }
    }
    if !claimed.is_empty() {
        batch.reload(user);
    }
    Ok(claimed)
}

/// Deletes the keys of a device.
pub(in crate::store::sqlite) fn delete(
    batch: &Batch<'_>,
    user: &UserId,
    device: &DeviceId,
) -> Result<(), WriteError> {
    for statement in [
        "DELETE FROM device_keys WHERE user_id = ?1 AND device_id = ?2",
        "DELETE FROM one_time_keys WHERE user_id = ?1 AND device_id = ?2",
        "DELETE FROM fallback_keys WHERE user_id = ?1 AND device_id = ?2",
    ] {
        batch
            .connection()
            .prepare_cached(statement)?
            .execute(params![user.as_str(), device.as_str()])?;
    }
    Ok(())
}

/// Whether a device ID is a public cross-signing key of the user, padded or not.
pub(in crate::store::sqlite) fn is_cross_signing_key(
    batch: &Batch<'_>,
    user: &UserId,
    device: &DeviceId,
) -> Result<bool, WriteError> {
    let unpadded = device.as_str().trim_end_matches('=');
    let exists = batch
        .connection()
        .prepare_cached("SELECT 1 FROM cross_signing_keys WHERE user_id = ?1 AND public_key = ?2")?
        .exists(params![user.as_str(), unpadded])?;
    Ok(exists)
}

/// Reads the keys of a user whose devices are read already.
pub(in crate::store::sqlite) fn load(
    transaction: &Transaction<'_>,
    user: &UserId,
    state: &mut UserState,
) -> Result<(), rusqlite::Error> {
    let id = user.as_str();
    let mut keys = PublishedKeys {
        revision: state.device_list_position,
        ..PublishedKeys::default()
    };
    let mut rows = transaction.prepare_cached(
        "SELECT device_id, keys FROM device_keys WHERE user_id = ?1 ORDER BY device_id",
    )?;
    let mut rows = rows.query([id])?;
    while let Some(row) = rows.next()? {
        let device = DeviceId::new(row.get::<_, Box<str>>(0)?);
        keys.devices.push(PublishedDevice {
            display_name: state.device(&device).and_then(|known| known.display_name),
            device,
            keys: Bytes::from(row.get::<_, Vec<u8>>(1)?),
        });
    }
    load_cross_signing(transaction, id, &mut keys)?;
    state.keys = Arc::new(keys);
    load_counts(transaction, id, state)
}

fn load_cross_signing(
    transaction: &Transaction<'_>,
    user: &str,
    keys: &mut PublishedKeys,
) -> Result<(), rusqlite::Error> {
    let mut rows = transaction.prepare_cached(
        "SELECT usage, public_key, content FROM cross_signing_keys WHERE user_id = ?1",
    )?;
    let mut rows = rows.query([user])?;
    while let Some(row) = rows.next()? {
        let key = CrossSigningKey {
            public_key: row.get(1)?,
            content: Bytes::from(row.get::<_, Vec<u8>>(2)?),
        };
        match row.get::<_, i64>(0)? {
            MASTER => keys.cross_signing.master = Some(key),
            SELF_SIGNING => keys.cross_signing.self_signing = Some(key),
            _ => keys.cross_signing.user_signing = Some(key),
        }
    }
    let mut rows = transaction.prepare_cached(
        "SELECT signed_user, signed_key, signing_key, signature FROM user_signatures
         WHERE user_id = ?1 ORDER BY signed_user",
    )?;
    let signatures = rows.query_map([user], |row| {
        Ok(UserSignature {
            user: UserId::new(row.get::<_, Box<str>>(0)?),
            key: row.get(1)?,
            signing_key: row.get(2)?,
            signature: row.get(3)?,
        })
    })?;
    keys.user_signatures = signatures.collect::<Result<_, _>>()?;
    Ok(())
}

fn load_counts(
    transaction: &Transaction<'_>,
    user: &str,
    state: &mut UserState,
) -> Result<(), rusqlite::Error> {
    let mut rows = transaction.prepare_cached(
        "SELECT device_id, algorithm, count(*) FROM one_time_keys
         WHERE user_id = ?1 GROUP BY device_id, algorithm",
    )?;
    let mut rows = rows.query([user])?;
    while let Some(row) = rows.next()? {
        let counts = state.counts_of(row.get::<_, Box<str>>(0)?);
        counts
            .one_time_keys
            .insert(row.get(1)?, unsigned(row.get(2)?));
    }
    let mut rows = transaction.prepare_cached(
        "SELECT device_id, algorithm FROM fallback_keys
         WHERE user_id = ?1 AND used = 0 ORDER BY device_id, algorithm",
    )?;
    let mut rows = rows.query([user])?;
    while let Some(row) = rows.next()? {
        let counts = state.counts_of(row.get::<_, Box<str>>(0)?);
        counts.unused_fallback_keys.push(row.get(1)?);
    }
    Ok(())
}

const MASTER: i64 = 0;
const SELF_SIGNING: i64 = 1;
const USER_SIGNING: i64 = 2;
