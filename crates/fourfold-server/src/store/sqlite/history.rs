//! The history of account data. Rarely read: it comes from the file.

use async_trait::async_trait;

use super::errors::unavailable;
use super::rows::history;
use super::store::SqliteStore;
use crate::store::{HistoryEntry, HistoryPage, HistoryStore, StoreError, UserId};

#[async_trait]
impl HistoryStore for SqliteStore {
    async fn account_data_history(
        &self,
        user: &UserId,
        wanted: HistoryPage,
    ) -> Result<(Vec<HistoryEntry>, bool), StoreError> {
        // One page at a time is read, as one content of a large account is.
        let _turn = self.loads.content_turn(user).await;
        let (user, quota) = (user.clone(), self.quotas.history);
        self.read(move |connection| {
            history::page(connection, &user, &wanted, quota).map_err(unavailable)
        })
        .await
    }

    async fn forget_account_data_history(&self, user: &UserId) -> Result<(), StoreError> {
        let user = user.clone();
        self.writer
            .write_large(move |batch| history::forget(batch, &user))
            .await
    }
}
