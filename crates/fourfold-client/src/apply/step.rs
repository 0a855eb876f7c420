//! One step of a plan at a server: read, compare, write, read back.

use fourfold::identity::UserKeys;
use fourfold::plan::{Action, Found, Step, StepState};
use fourfold::{Content, Plan};

use super::error::ApplyError;
use crate::account::{FoundBackup, ShownBackup, Stored};
use crate::{Account, Error, Password};

/// A step, in the plan that it belongs to.
pub(super) struct StepInPlan<'a> {
    pub(super) account: &'a Account,
    pub(super) plan: &'a Plan,
    pub(super) index: usize,
    pub(super) step: &'a Step,
    pub(super) password: Option<&'a Password>,
}

/// The state of a step that is applied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum StepProgress {
    /// It has been done before.
    Skipped,
    /// It is being written.
    Writing,
    /// It is written, and the server gave it back.
    Written,
}

impl StepInPlan<'_> {
    /// Makes the change unless it is made, and checks that it is made then.
    pub(super) async fn carry_out(
        &self,
        tell: &mut impl FnMut(StepProgress),
    ) -> Result<(), ApplyError> {
        let now = self.read().await?;
        match self.state(&now) {
            StepState::Done => {
                tell(StepProgress::Skipped);
                return Ok(());
            }
            StepState::Conflict => return Err(self.conflict()),
            StepState::Due => {}
        }
        tell(StepProgress::Writing);
        self.write_until_certain(now).await?;
        let back = self.read().await?;
        if self.state(&back) != StepState::Done {
            if let (Action::SignDevice(sign), Now::Keys(keys)) = (&self.step.action, &back)
                && sign.is_stale(keys)
            {
                return Err(ApplyError::StaleSignature {
                    device_id: sign.device_id().to_owned(),
                    step: self.index,
                });
            }
            return Err(ApplyError::ReadBack {
                action: Box::new(self.step.action.clone()),
                step: self.index,
            });
        }
        tell(StepProgress::Written);
        Ok(())
    }

    /// When it is not known whether a write arrived, what is there is read again before the next
    /// attempt: what somebody else wrote in between is not overwritten.
    async fn write_until_certain(&self, mut now: Now) -> Result<(), ApplyError> {
        let attempts = self.account.attempts();
        for attempt in 1..=attempts.max(1) {
            match self.write(&now).await {
                Ok(true) => return Ok(()),
                // Somebody else wrote first.
                Ok(false) => {}
                Err(ApplyError::Request { source, .. })
                    if source.is_uncertain() && attempt < attempts =>
                {
                    self.account.pause(attempt).await;
                }
                Err(error) => return Err(error),
            }
            now = self.read().await?;
            match self.state(&now) {
                StepState::Done => return Ok(()),
                StepState::Due => {}
                StepState::Conflict => break,
            }
        }
        Err(self.conflict())
    }

    /// The current state, as far as the action depends on it.
    async fn read(&self) -> Result<Now, ApplyError> {
        let account = self.account;
        let now = match &self.step.action {
            Action::PutAccountData(put) => {
                account.read(&put.event_type).await.map(Now::AccountData)
            }
            Action::PublishDevice(_) | Action::PublishIdentity(_) | Action::SignDevice(_) => {
                account.published_keys().await.map(Now::Keys)
            }
            Action::RemoveDevice(remove) => {
                let lists = tokio::try_join!(account.published_keys(), account.devices());
                lists.map(|(keys, devices)| {
                    let mut ids = devices.iter().map(|device| device.device_id.as_str());
                    Now::Device {
                        is_logged_in: ids.any(|id| id == remove.device_id()),
                        keys,
                    }
                })
            }
            Action::CreateKeyBackup(_) | Action::SignKeyBackup(_) => {
                match account.found_key_backup().await {
                    // Unless it is what the user wants to get out of.
                    Ok(FoundBackup::Unavailable(error)) if !self.expects_unreadable() => Err(error),
                    found => found.map(Now::KeyBackup),
                }
            }
            Action::DeleteKeyBackup(delete) => account
                .shown_key_backup(delete.version())
                .await
                .map(Now::KeyBackupVersion),
            // A plan of a later version of the core.
            _ => return Err(self.conflict()),
        };
        now.map_err(|error| self.failed(error))
    }

    /// Writes once, in view of what was read; `false` when somebody else wrote first and nothing
    /// happened. After an error that leaves open whether it arrived, read again.
    async fn write(&self, now: &Now) -> Result<bool, ApplyError> {
        let (account, password) = (self.account, self.password);
        let written = match (&self.step.action, now) {
            (Action::PutAccountData(put), Now::AccountData(stored)) => {
                account.write(&put.event_type, &put.content, stored).await
            }
            (Action::PublishDevice(publish), _) => {
                let mut body = Content::default();
                body.insert("device_keys", publish.device_keys());
                account.keys_upload(&body).await.map(|_| true)
            }
            (Action::PublishIdentity(publish), _) => account
                .upload_cross_signing_keys(publish.keys(), password)
                .await
                .map(|()| true),
            (Action::SignDevice(sign), _) => {
                let objects = [(sign.device_id(), sign.signed())];
                match account.upload_signatures(&objects).await {
                    Ok(refused) => match refused.into_iter().next() {
                        Some(refused) => {
                            let step = self.index;
                            return Err(ApplyError::Refused { step, refused });
                        }
                        None => Ok(true),
                    },
                    Err(error) => Err(error),
                }
            }
            (Action::RemoveDevice(remove), _) => account
                .delete_device(remove.device_id(), password)
                .await
                .map(|()| true),
            (Action::CreateKeyBackup(create), _) => account
                .create_key_backup(create.content())
                .await
                .map(|_| true),
            (Action::SignKeyBackup(sign), _) => account
                .update_key_backup(sign.version(), sign.content())
                .await
                .map(|()| true),
            (Action::DeleteKeyBackup(delete), _) => account
                .delete_key_backup(delete.version())
                .await
                .map(|()| true),
            _ => return Err(self.conflict()),
        };
        written.map_err(|error| self.failed(error))
    }

    fn expects_unreadable(&self) -> bool {
        matches!(&self.step.action, Action::CreateKeyBackup(create) if create.expects_unreadable())
    }

    /// The state of the step, in view of those after it.
    fn state(&self, now: &Now) -> StepState {
        self.plan.state_of(self.index, now.found())
    }

    fn conflict(&self) -> ApplyError {
        ApplyError::Conflict {
            action: Box::new(self.step.action.clone()),
            step: self.index,
        }
    }

    fn failed(&self, source: Error) -> ApplyError {
        ApplyError::Request {
            action: Box::new(self.step.action.clone()),
            step: self.index,
            source,
        }
    }
}

/// The current state, as far as an action depends on it.
enum Now {
    AccountData(Stored),
    Device { keys: UserKeys, is_logged_in: bool },
    KeyBackup(FoundBackup),
    KeyBackupVersion(ShownBackup),
    Keys(UserKeys),
}

impl Now {
    fn found(&self) -> Found<'_> {
        match self {
            Self::AccountData(stored) => Found::AccountData(stored.json.as_deref()),
            Self::Device { keys, is_logged_in } => Found::Device {
                keys,
                is_logged_in: *is_logged_in,
            },
            Self::KeyBackup(FoundBackup::None) => Found::KeyBackup(None),
            Self::KeyBackup(FoundBackup::Readable(backup)) => Found::KeyBackup(Some(backup)),
            Self::KeyBackup(FoundBackup::Unreadable(_) | FoundBackup::Unavailable(_))
            | Self::KeyBackupVersion(ShownBackup::Unavailable(_)) => Found::UnreadableKeyBackup,
            Self::KeyBackupVersion(ShownBackup::None) => Found::KeyBackupVersion(None),
            Self::KeyBackupVersion(ShownBackup::Shown(shown)) => {
                Found::KeyBackupVersion(Some(shown))
            }
            Self::Keys(keys) => Found::Keys(keys),
        }
    }
}
