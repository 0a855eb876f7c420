//! Published keys: device keys, cross-signing keys, signatures on other users.

use bytes::Bytes;
use rusqlite::{Transaction, params};

use super::one_time_keys;
use crate::store::rules::devices::as_public_key;
use crate::store::rules::keys as rules;
use crate::store::sqlite::batch::Batch;
use crate::store::sqlite::errors::WriteError;
use crate::store::sqlite::integers::unsigned;
use crate::store::sqlite::state::{Keys, LogIns};
use crate::store::{
    CrossSigningKey, CrossSigningKeys, DeviceId, KeyChange, KeyObjects, Position, PublishedDevice,
    PublishedKeys, Quotas, UserId, UserSignature,
};

/// Everything is checked before the first change, because a refusal must leave no trace.
pub(in crate::store::sqlite) fn put(
    batch: &mut Batch<'_>,
    user: &UserId,
    change: &KeyChange,
    quotas: &Quotas,
) -> Result<(), WriteError> {
    let revision = batch.counters(user)?.device_list_position;
    if let Some(objects) = &change.objects {
        rules::check_revision(objects.revision, revision)?;
        check_user_signatures(batch, user, objects, quotas.user_signatures)?;
    }
    if let Some(upload) = &change.one_time {
        one_time_keys::add(batch, user, upload, quotas.one_time_keys)?;
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
    let signing_key = rules::signing_key_that_stays(keys);
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
    rules::check_signatures(unsigned(count), objects.user_signatures.len(), most)?;
    Ok(())
}

/// Deletes the keys of a device.
pub(super) fn delete(
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

/// Whether a device ID is a public cross-signing key of the user.
pub(super) fn is_cross_signing_key(
    batch: &Batch<'_>,
    user: &UserId,
    device: &DeviceId,
) -> Result<bool, WriteError> {
    let exists = batch
        .connection()
        .prepare_cached("SELECT 1 FROM cross_signing_keys WHERE user_id = ?1 AND public_key = ?2")?
        .exists(params![user.as_str(), as_public_key(device)])?;
    Ok(exists)
}

/// Reads the keys of a user whose devices are read already.
pub(in crate::store::sqlite) fn load(
    transaction: &Transaction<'_>,
    user: &UserId,
    revision: Position,
    log_ins: &LogIns,
) -> Result<Keys, rusqlite::Error> {
    let id = user.as_str();
    let mut keys = PublishedKeys {
        revision,
        ..PublishedKeys::default()
    };
    let mut rows = transaction.prepare_cached(
        "SELECT device_id, keys FROM device_keys WHERE user_id = ?1 ORDER BY device_id",
    )?;
    let mut rows = rows.query([id])?;
    while let Some(row) = rows.next()? {
        let device = DeviceId::new(row.get::<_, Box<str>>(0)?);
        keys.devices.push(PublishedDevice {
            display_name: log_ins
                .device(&device)
                .and_then(|known| known.display_name.clone()),
            device,
            keys: Bytes::from(row.get::<_, Vec<u8>>(1)?),
        });
    }
    load_cross_signing(transaction, id, &mut keys)?;
    Ok(Keys::new(keys, one_time_keys::counts(transaction, id)?))
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

const MASTER: i64 = 0;
const SELF_SIGNING: i64 = 1;
const USER_SIGNING: i64 = 2;
