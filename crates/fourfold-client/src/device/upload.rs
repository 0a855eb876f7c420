//! Publishing the keys of this device.

use fourfold::Content;
use tracing::{debug, instrument};

use super::error::DeviceError;
use super::this_device::Device;
use crate::{Account, ErrorKind};

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
        for _ in 0..2 {
            let Some(body) = self.prepare_upload()? else {
                return Ok(());
            };
            match account.keys_upload(&body).await {
                Ok(count) => return self.uploaded(count),
                // The server has other keys under the same IDs: those of a later state of this
                // device, of which the files are an older copy.
                Err(error) if self.is_conflict(error.kind())? => {
                    if !self.start_over(account).await? {
                        return Err(error.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The keys to upload, their private halves on disk; `None` if the server has everything.
    pub(super) fn prepare_upload(&mut self) -> Result<Option<Content>, DeviceError> {
        let mut keys = self.keys()?;
        let Some(body) = keys.unpublished(self.now().as_millis())? else {
            return Ok(None);
        };
        self.keep(|device| keys.save(&mut device.rows))?;
        Ok(Some(body))
    }

    /// Notes that the server has them.
    pub(super) fn uploaded(&mut self, count: u64) -> Result<(), DeviceError> {
        debug!(count, "uploaded");
        let mut keys = self.keys()?;
        keys.uploaded(count);
        self.keep(|device| keys.save(&mut device.rows))
    }

    /// Whether an upload was refused because the server has other one-time keys under these IDs.
    /// There is no code for it: servers say `M_UNKNOWN` or `M_INVALID_PARAM` with status 400, and
    /// have no other reason for it when earlier keys of this device were fine.
    fn is_conflict(&self, kind: &ErrorKind) -> Result<bool, DeviceError> {
        let is_refused = matches!(kind, ErrorKind::Matrix { status: 400, .. });
        Ok(is_refused && self.keys()?.are_published())
    }
}
