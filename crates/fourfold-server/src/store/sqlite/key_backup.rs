//! Key backups. Too large and too rarely read for memory: they are read from the file.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::errors::unavailable;
use super::rows::{backed_up_keys, backups};
use super::store::SqliteStore;
use crate::store::rules::backups as rules;
use crate::store::{
    BackedUpKey, KeyBackup, KeyBackupState, KeyBackupStore, KeySelection, StoreError, UserId,
};

#[async_trait]
impl KeyBackupStore for SqliteStore {
    async fn create_backup(
        &self,
        user: &UserId,
        algorithm: String,
        auth_data: Bytes,
    ) -> Result<u64, StoreError> {
        let (user, quota) = (user.clone(), self.quotas.backups);
        self.writer
            .write(move |batch| backups::create(batch, &user, &algorithm, &auth_data, quota))
            .await
    }

    async fn backup(
        &self,
        user: &UserId,
        version: Option<u64>,
    ) -> Result<Option<KeyBackup>, StoreError> {
        let user = user.clone();
        self.read(move |connection| backups::find(connection, &user, version).map_err(unavailable))
            .await
    }

    async fn replace_backup_auth_data(
        &self,
        user: &UserId,
        version: u64,
        algorithm: String,
        auth_data: Bytes,
    ) -> Result<(), StoreError> {
        let (user, quota) = (user.clone(), self.quotas.backups);
        self.writer
            .write(move |batch| {
                backups::replace_auth_data(batch, &user, version, &algorithm, &auth_data, quota)
            })
            .await
    }

    async fn delete_backup(&self, user: &UserId, version: u64) -> Result<(), StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| backups::delete(batch, &user, version))
            .await
    }

    async fn put_backed_up_keys(
        &self,
        user: &UserId,
        version: u64,
        keys: Vec<BackedUpKey>,
    ) -> Result<KeyBackupState, StoreError> {
        let (parts, keys) = (rules::parts(&keys), Arc::new(keys));
        let mut state = KeyBackupState::default();
        if parts.len() != 1 {
            // Beside the writer, and before anything is written: a refusal leaves no trace.
            let (user, all, quota) = (user.clone(), Arc::clone(&keys), self.quotas.backups);
            let decided = self.read(move |connection| {
                let accepted = backed_up_keys::decide(connection, &user, version, &all, quota)?;
                Ok(accepted.state)
            });
            state = decided.await?;
        }
        for part in parts {
            state = self
                .put_part(user, version, Arc::clone(&keys), part)
                .await?;
        }
        Ok(state)
    }

    async fn backed_up_keys(
        &self,
        user: &UserId,
        version: u64,
        selection: KeySelection,
        after: Option<(String, String)>,
        most: usize,
    ) -> Result<Option<(Vec<BackedUpKey>, bool)>, StoreError> {
        let user = user.clone();
        self.read(move |connection| {
            backed_up_keys::page(connection, &user, version, &selection, after, most)
                .map_err(unavailable)
        })
        .await
    }

    async fn delete_backed_up_keys(
        &self,
        user: &UserId,
        version: u64,
        selection: KeySelection,
    ) -> Result<KeyBackupState, StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| backed_up_keys::delete(batch, &user, version, &selection))
            .await
    }
}

impl SqliteStore {
    /// Puts some of the keys. Whole or not at all, also after a crash.
    async fn put_part(
        &self,
        user: &UserId,
        version: u64,
        keys: Arc<Vec<BackedUpKey>>,
        part: Range<usize>,
    ) -> Result<KeyBackupState, StoreError> {
        let (user, quota) = (user.clone(), self.quotas.backups);
        self.writer
            .write_large(move |batch| {
                let part = keys.get(part.clone()).unwrap_or_default();
                backed_up_keys::put(batch, &user, version, part, quota)
            })
            .await
    }
}
