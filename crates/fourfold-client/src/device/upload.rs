//! Publishing the keys of this device, and keeping enough one-time keys on the server.

use fourfold::Content;
use tracing::{debug, instrument};

use super::{Device, DeviceError};
use crate::Account;

impl Device {
    /// Publishes what is not published yet: the keys of the device, one-time keys, and the fallback
    /// key for when those are used up.
    ///
    /// Their private halves are on disk before the first byte leaves. After an error the same keys
    /// are uploaded again.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OtherDevice`] when `account` is of another user or device, and the errors of
    /// the file system and of every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn upload_keys(&mut self, account: &Account) -> Result<(), DeviceError> {
        self.check_account(account)?;
        let Some(body) = self.prepare_upload()? else {
            return Ok(());
        };
        let count = account.keys_upload(&body).await?;
        self.uploaded(count)
    }

    /// What is to be uploaded, its private halves on disk; `None` when the server has everything.
    pub(super) fn prepare_upload(&mut self) -> Result<Option<Content>, DeviceError> {
        let mut keys = self.keys()?;
        let on_server = keys.published.one_time_keys.unwrap_or(0);
        // Keys that an upload was begun with come before any new ones.
        if keys.account.one_time_keys().is_empty() && on_server < KEEP_AT_LEAST {
            let missing = FILL_UP_TO.saturating_sub(on_server);
            let missing = usize::try_from(missing).unwrap_or_default();
            keys.account.generate_one_time_keys(missing);
        }
        if keys.account.fallback_key().is_empty() && !keys.published.fallback_key {
            keys.account.generate_fallback_key();
        }
        keys.save(&mut self.rows)?;
        self.rows.commit()?;

        let mut body = Content::default();
        if !keys.published.device_keys {
            body.insert("device_keys", &keys.device_keys()?);
        }
        let one_time_keys = keys.one_time_keys()?;
        if !one_time_keys.is_empty() {
            body.insert("one_time_keys", &one_time_keys);
        }
        let fallback_keys = keys.fallback_keys()?;
        if !fallback_keys.is_empty() {
            body.insert("fallback_keys", &fallback_keys);
        }
        Ok(Some(body).filter(|body| !body.is_empty()))
    }

    /// Notes that the server has them.
    pub(super) fn uploaded(&mut self, count: u64) -> Result<(), DeviceError> {
        debug!(count, "uploaded");
        let mut keys = self.keys()?;
        keys.account.mark_keys_as_published();
        keys.published.device_keys = true;
        keys.published.one_time_keys = Some(count);
        keys.published.fallback_key = true;
        keys.save(&mut self.rows)?;
        Ok(self.rows.commit()?)
    }
}

/// How many one-time keys the server is filled up to.
const FILL_UP_TO: u64 = 50;

/// With fewer than this, the server is filled up.
const KEEP_AT_LEAST: u64 = 25;
