//! Publishing, signing and logging out devices.

use fourfold::Content;
use fourfold::identity::UserKeys;
use fourfold::plan::{PublishDevice, RemoveDevice, SignDevice, StepState};

use super::change::{Change, Written};
use crate::{Account, Error, Password};

impl Change for PublishDevice {
    type Now = UserKeys;

    async fn read(&self, account: &Account) -> Result<UserKeys, Error> {
        account.published_keys().await
    }

    fn state(&self, now: &UserKeys) -> StepState {
        Self::state(self, now)
    }

    async fn write(
        &self,
        account: &Account,
        _: UserKeys,
        _: Option<&Password>,
    ) -> Result<Written, Error> {
        let mut body = Content::default();
        body.insert("device_keys", self.device_keys());
        account.keys_upload(&body).await?;
        Ok(Written::Done)
    }
}

impl Change for SignDevice {
    type Now = UserKeys;

    async fn read(&self, account: &Account) -> Result<UserKeys, Error> {
        account.published_keys().await
    }

    fn state(&self, now: &UserKeys) -> StepState {
        Self::state(self, now)
    }

    async fn write(
        &self,
        account: &Account,
        _: UserKeys,
        _: Option<&Password>,
    ) -> Result<Written, Error> {
        let objects = [(self.device_id(), self.signed())];
        let mut refused = account.upload_signatures(&objects).await?.into_iter();
        Ok(refused.next().map_or(Written::Done, Written::Refused))
    }
}

impl Change for RemoveDevice {
    type Now = (UserKeys, bool);

    async fn read(&self, account: &Account) -> Result<Self::Now, Error> {
        let (keys, devices) = tokio::try_join!(account.published_keys(), account.devices())?;
        let is_this = |device: &crate::DeviceInfo| device.device_id == self.device_id();
        Ok((keys, devices.iter().any(is_this)))
    }

    fn state(&self, (keys, is_logged_in): &Self::Now) -> StepState {
        Self::state(self, keys, *is_logged_in)
    }

    async fn write(
        &self,
        account: &Account,
        _: Self::Now,
        password: Option<&Password>,
    ) -> Result<Written, Error> {
        account.delete_device(self.device_id(), password).await?;
        Ok(Written::Done)
    }
}

#[cfg(test)]
mod tests;
