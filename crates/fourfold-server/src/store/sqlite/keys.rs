//! Published keys.

use std::sync::Arc;

use async_trait::async_trait;

use super::rows::{keys, one_time_keys};
use super::store::SqliteStore;
use crate::store::{
    ClaimedKey, DeviceId, KeyChange, KeyCounts, KeyStore, PublishedKeys, StoreError, UserId,
    WantedKey,
};

#[async_trait]
impl KeyStore for SqliteStore {
    async fn keys(&self, user: &UserId) -> Result<Option<Arc<PublishedKeys>>, StoreError> {
        let entry = self.user(user).await?;
        Ok(entry.map(|entry| Arc::clone(entry.read().keys.published())))
    }

    async fn put_keys(&self, user: &UserId, change: KeyChange) -> Result<(), StoreError> {
        let (user, quotas) = (user.clone(), self.quotas.clone());
        self.writer
            .write(move |batch| keys::put(batch, &user, &change, &quotas))
            .await
    }

    async fn key_counts(&self, user: &UserId, device: &DeviceId) -> Result<KeyCounts, StoreError> {
        let entry = self.user(user).await?;
        let counts = entry.and_then(|entry| entry.read().keys.counts(device).cloned());
        Ok(counts.unwrap_or_default())
    }

    async fn claim_keys(
        &self,
        user: &UserId,
        wanted: Vec<WantedKey>,
    ) -> Result<Vec<ClaimedKey>, StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| one_time_keys::claim(batch, &user, &wanted))
            .await
    }
}
