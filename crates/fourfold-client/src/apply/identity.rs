//! Publishing an identity.

use fourfold::identity::UserKeys;
use fourfold::plan::{PublishIdentity, StepState};

use super::change::{Change, Written};
use crate::{Account, Error, Password};

impl Change for PublishIdentity {
    type Now = UserKeys;

    async fn read(&self, account: &Account) -> Result<UserKeys, Error> {
        account.published_keys().await
    }

    fn state(&self, now: &UserKeys) -> StepState {
        Self::state(self, now.identity())
    }

    async fn write(
        &self,
        account: &Account,
        _: UserKeys,
        password: Option<&Password>,
    ) -> Result<Written, Error> {
        account
            .upload_cross_signing_keys(self.keys(), password)
            .await?;
        Ok(Written::Done)
    }
}
