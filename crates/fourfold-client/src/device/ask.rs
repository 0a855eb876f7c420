//! Asking other devices for secrets, and answering them.

use fourfold::SecretName;
use fourfold::rand_core::UnwrapErr;
use fourfold::sharing::{Input, Policy, PromptId, Recipients, RequestId};
use getrandom::SysRng;

use super::error::DeviceError;
use super::sharing::ReceivedSecret;
use super::this_device::Device;
use crate::Account;
use crate::local_state::Table;

impl Device {
    /// Asks other devices for a secret. What is sent leaves with the next [`flush`](Self::flush) or
    /// sync; how it ends comes as [`DeviceEvent::Ended`](crate::DeviceEvent::Ended).
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn request_secret(
        &mut self,
        name: SecretName,
        recipients: Recipients,
    ) -> Result<RequestId, DeviceError> {
        let request_id = RequestId::random(&mut UnwrapErr(SysRng));
        self.tell_and_keep(Input::Ask {
            name,
            request_id: request_id.clone(),
            recipients,
        })?;
        Ok(request_id)
    }

    /// Checks, with a fresh list of devices, that asking is of use: other devices answer this one, and
    /// there is one to ask: `from`, or any that is verified.
    ///
    /// # Errors
    ///
    /// [`DeviceError::CannotAsk`], and the errors of every call and of the file system.
    pub async fn check_can_ask(
        &mut self,
        account: &Account,
        from: Option<&str>,
    ) -> Result<(), DeviceError> {
        // Nothing is refused by an old look: another device may be there now.
        if !self.trust().is_fresh() || self.trust().check_can_ask(from).is_err() {
            self.refresh_and_tell(account).await?;
        }
        Ok(self.trust().check_can_ask(from)?)
    }

    /// The request for a secret that is still open, of an earlier run of the program too.
    #[must_use]
    pub fn open_request(&self, name: &SecretName) -> Option<RequestId> {
        self.sharing.open_request(name)
    }

    /// No longer wants a secret that was asked for.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn abort_request(&mut self, request_id: RequestId) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::Abort { request_id })
    }

    /// Answers a [prompt](crate::DeviceEvent::Prompt): the secrets that may be shared, none for "No".
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn answer_prompt(
        &mut self,
        prompt: PromptId,
        allowed: Vec<SecretName>,
    ) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::PromptAnswered { prompt, allowed })
    }

    /// Says which secrets could be shared. Without this, none are.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn set_shareable(&mut self, names: Vec<SecretName>) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::Shareable { names })
    }

    /// Sends a secret to all verified devices that take such (MSC4385).
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn push_secret(&mut self, name: SecretName) -> Result<(), DeviceError> {
        let push_id = RequestId::random(&mut UnwrapErr(SysRng));
        self.tell_and_keep(Input::Push { name, push_id })
    }

    /// Shares nothing and takes nothing until [`unlock_sharing`](Self::unlock_sharing).
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn lock_sharing(&mut self) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::Locked)
    }

    /// Shares and takes again.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn unlock_sharing(&mut self) -> Result<(), DeviceError> {
        self.tell_and_keep(Input::Unlocked)
    }

    /// Replaces the rules of what is shared with whom. Kept when this returns.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn set_policy(&mut self, policy: Policy) -> Result<(), DeviceError> {
        self.keep(|device| {
            device.sharing.set_policy(policy);
            Ok(())
        })
    }

    /// The rules of what is shared with whom.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        self.sharing.policy()
    }

    /// The time until something is due even if nothing happens; `None` for never. Then
    /// [`flush`](Self::flush).
    #[must_use]
    pub fn due_in(&self) -> Option<std::time::Duration> {
        let deadline = self.sharing.next_deadline()?;
        Some(deadline.since(self.now()))
    }

    /// The secrets that came and were not discarded, also in earlier runs of the program.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn received_secrets(&self) -> Result<Vec<ReceivedSecret>, DeviceError> {
        self.sharing.received(&self.rows)
    }

    /// Forgets a secret that came, after it was put where it belongs.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn discard_received(&mut self, id: &str) -> Result<(), DeviceError> {
        self.keep(|device| {
            device.rows.delete(Table::Received, id);
            Ok(())
        })
    }

    /// Tells the machine something on behalf of the user. Kept when this returns.
    fn tell_and_keep(&mut self, input: Input) -> Result<(), DeviceError> {
        self.keep(|device| {
            device.tell(input);
            device.poll_sharing()
        })
    }
}
