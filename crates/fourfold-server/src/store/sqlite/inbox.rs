//! Inboxes.

use std::sync::Arc;

use async_trait::async_trait;

use super::errors::unavailable;
use super::rows::{delivery, inbox};
use super::store::SqliteStore;
use crate::store::{
    DeviceId, Inbox, InboxMessage, InboxStore, Outgoing, Position, Sent, StoreError, Transaction,
    UserId,
};

#[async_trait]
impl InboxStore for SqliteStore {
    async fn send(
        &self,
        sender: &UserId,
        transaction: Transaction,
        messages: Vec<Outgoing>,
    ) -> Result<Sent, StoreError> {
        let (sender, quota) = (sender.clone(), self.quotas.inbox);
        self.writer
            .write(move |batch| delivery::send(batch, &sender, &transaction, &messages, &quota))
            .await
    }

    async fn inbox(&self, user: &UserId, device: &DeviceId) -> Result<Inbox, StoreError> {
        let entry = self.user(user).await?;
        let inbox = entry.and_then(|entry| entry.read().inboxes.get(device).copied());
        Ok(inbox.unwrap_or_default())
    }

    async fn inbox_messages(
        &self,
        user: &UserId,
        device: &DeviceId,
        after: Position,
        most: usize,
    ) -> Result<Vec<InboxMessage>, StoreError> {
        let end = self.inbox(user, device).await?.newest;
        let (user, device, cache) = (user.clone(), device.clone(), Arc::clone(&self.cache));
        self.read(move |connection| {
            cache.unseen.shows(&user, &device, end);
            inbox::messages(connection, &user, &device, (after, end), most).map_err(unavailable)
        })
        .await
    }

    async fn acknowledge(
        &self,
        user: &UserId,
        device: &DeviceId,
        up_to: Position,
    ) -> Result<(), StoreError> {
        let (user, device) = (user.clone(), device.clone());
        // Nothing depends on it: a device is not shown again what it acknowledged, and a deletion
        // that is lost is made up for by the next acknowledgement.
        self.writer
            .post(move |batch| inbox::acknowledge(batch, &user, &device, up_to))
            .await
    }
}
