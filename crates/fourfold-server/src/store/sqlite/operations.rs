//! Accounts, sessions, devices, account data and filters.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::cache::AccountDataWrite;
use super::contents::Found;
use super::errors::unavailable;
use super::rows::{account_data, accounts, devices, filters, removal, sessions};
use super::store::SqliteStore;
use crate::store::{
    Changes, Condition, Device, DeviceId, Filter, NewAccount, NewSession, Origin, Position, Scope,
    Session, Store, StoreError, Stored, Timestamp, TokenHash, TokenPair, UserId, Watch,
};

#[async_trait]
impl Store for SqliteStore {
    async fn create_account(&self, user: &UserId, account: NewAccount) -> Result<(), StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| accounts::create(batch, &user, &account))
            .await
    }

    async fn password_hash(&self, user: &UserId) -> Result<Option<String>, StoreError> {
        // Always from the file and never from memory, so that no name costs more than another.
        let user = user.clone();
        self.read(move |connection| accounts::password_hash(connection, &user).map_err(unavailable))
            .await
    }

    async fn open_session(&self, user: &UserId, session: NewSession) -> Result<(), StoreError> {
        let (user, most) = (user.clone(), self.quotas.devices);
        self.writer
            .write(move |batch| sessions::open(batch, &user, &session, most))
            .await
    }

    async fn session(
        &self,
        user: &UserId,
        access: &TokenHash,
    ) -> Result<Option<Session>, StoreError> {
        if let Ok(entry) = self.cache.lookup(user)
            && let Some(session) = entry.read().log_ins.session(access)
        {
            return Ok(Some(session.clone()));
        }
        // One row says whether there is such a session: a wrong token neither loads an account nor
        // tells by the time whether there is one.
        let (owned, access) = (user.clone(), *access);
        let known = self.read(move |connection| {
            sessions::exists(connection, &owned, &access).map_err(unavailable)
        });
        if !known.await? {
            return Ok(None);
        }
        let entry = self.user(user).await?;
        Ok(entry.and_then(|entry| entry.read().log_ins.session(&access).cloned()))
    }

    async fn refresh_session(
        &self,
        user: &UserId,
        refresh: &TokenHash,
        tokens: TokenPair,
        now: Timestamp,
    ) -> Result<Option<DeviceId>, StoreError> {
        let (user, refresh) = (user.clone(), *refresh);
        self.writer
            .write(move |batch| sessions::refresh(batch, &user, &refresh, &tokens, now))
            .await
    }

    async fn confirm_session(&self, user: &UserId, access: &TokenHash) -> Result<(), StoreError> {
        let (user, access) = (user.clone(), *access);
        self.writer
            .write(move |batch| sessions::confirm(batch, &user, &access))
            .await
    }

    async fn touch_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        now: Timestamp,
        address: Option<String>,
    ) -> Result<(), StoreError> {
        let (user, device) = (user.clone(), device.clone());
        self.writer
            .write(move |batch| devices::touch(batch, &user, &device, now, address.as_deref()))
            .await
    }

    async fn devices(&self, user: &UserId) -> Result<Vec<Device>, StoreError> {
        let entry = self.user(user).await?;
        Ok(entry
            .map(|entry| entry.read().log_ins.devices().to_vec())
            .unwrap_or_default())
    }

    async fn device(&self, user: &UserId, device: &DeviceId) -> Result<Option<Device>, StoreError> {
        Ok(self
            .user(user)
            .await?
            .and_then(|entry| entry.read().log_ins.device(device).cloned()))
    }

    async fn rename_device(
        &self,
        user: &UserId,
        device: &DeviceId,
        display_name: Option<String>,
    ) -> Result<bool, StoreError> {
        let (user, device) = (user.clone(), device.clone());
        self.writer
            .write(move |batch| devices::rename(batch, &user, &device, display_name.as_deref()))
            .await
    }

    async fn delete_devices(&self, user: &UserId, devices: &[DeviceId]) -> Result<(), StoreError> {
        let (user, devices) = (user.clone(), devices.to_vec());
        self.writer
            .write(move |batch| removal::delete(batch, &user, &devices))
            .await
    }

    async fn delete_all_devices(&self, user: &UserId) -> Result<(), StoreError> {
        let user = user.clone();
        self.writer
            .write(move |batch| removal::delete_all(batch, &user))
            .await
    }

    async fn put_account_data(
        &self,
        user: &UserId,
        scope: Scope,
        event_type: &str,
        content: Bytes,
        condition: Condition,
        origin: Origin,
    ) -> Result<Position, StoreError> {
        let write = AccountDataWrite {
            user: user.clone(),
            scope,
            event_type: event_type.into(),
            // A copy of its own: what came from the network is a slice of a larger buffer.
            content: Bytes::copy_from_slice(&content),
        };
        let (quota, history) = (self.quotas.account_data, self.quotas.history);
        self.writer
            .write(move |batch| {
                account_data::put(batch, &write, condition, &origin, quota, history)
            })
            .await
    }

    async fn account_data(
        &self,
        user: &UserId,
        scope: &Scope,
        event_type: &str,
    ) -> Result<Option<Stored>, StoreError> {
        let Some(entry) = self.user(user).await? else {
            return Ok(None);
        };
        let found = entry.read().account_data.find(scope, event_type);
        match found {
            Found::Nothing => Ok(None),
            Found::Here(stored) => Ok(Some(stored)),
            Found::InFile => self.content(user, scope, event_type).await,
        }
    }

    async fn changes(&self, user: &UserId, since: Option<Position>) -> Result<Changes, StoreError> {
        let entry = self.user(user).await?;
        Ok(entry
            .map(|entry| entry.read().changes(since))
            .unwrap_or_default())
    }

    async fn put_filter(&self, user: &UserId, definition: Bytes) -> Result<u64, StoreError> {
        if let Some(entry) = self.user(user).await? {
            let known = entry.read().filters.number_of(&definition);
            if let Some(filter) = known {
                return Ok(filter);
            }
        }
        let (user, most) = (user.clone(), self.quotas.filters);
        self.writer
            .write(move |batch| filters::put(batch, &user, &definition, most))
            .await
    }

    async fn filter(&self, user: &UserId, filter: u64) -> Result<Option<Arc<Filter>>, StoreError> {
        Ok(self
            .user(user)
            .await?
            .and_then(|entry| entry.read().filters.get(filter).cloned()))
    }

    fn watch(&self, user: &UserId) -> Watch {
        self.wakeups.watch(user)
    }

    async fn batch_key(&self) -> Result<[u8; 32], StoreError> {
        Ok(self.batch_key)
    }

    async fn close(&self) {
        self.readers.close();
        self.writer.close().await;
    }
}
