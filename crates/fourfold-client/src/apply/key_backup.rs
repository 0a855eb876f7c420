//! Making and signing key backups.

use fourfold::BackupVersion;
use fourfold::plan::{CreateKeyBackup, SignKeyBackup, StepState};

use super::change::{Change, Written};
use crate::{Account, Error, Password};

impl Change for CreateKeyBackup {
    type Now = Option<BackupVersion>;

    async fn read(&self, account: &Account) -> Result<Self::Now, Error> {
        account.key_backup().await
    }

    fn state(&self, now: &Self::Now) -> StepState {
        Self::state(self, now.as_ref())
    }

    async fn write(
        &self,
        account: &Account,
        _: Self::Now,
        _: Option<&Password>,
    ) -> Result<Written, Error> {
        account.create_key_backup(self.content()).await?;
        Ok(Written::Done)
    }
}

impl Change for SignKeyBackup {
    type Now = Option<BackupVersion>;

    async fn read(&self, account: &Account) -> Result<Self::Now, Error> {
        account.key_backup().await
    }

    fn state(&self, now: &Self::Now) -> StepState {
        Self::state(self, now.as_ref())
    }

    async fn write(
        &self,
        account: &Account,
        _: Self::Now,
        _: Option<&Password>,
    ) -> Result<Written, Error> {
        account
            .update_key_backup(self.version(), self.content())
            .await?;
        Ok(Written::Done)
    }
}
