//! Key backups. Too large and too rarely read for memory: they are read from the file.

use async_trait::async_trait;
use bytes::Bytes;

use super::errors::unavailable;
use super::rows::{backed_up_keys, backups};
use super::store::SqliteStore;
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
        let (user, quota) = (user.clone(), self.quotas.backups);
        self.writer
            .write_large(move |batch| backed_up_keys::put(batch, &user, version, &keys, quota))
            .await
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
