//! Taking in what the server has for this device.
//!
//! # The list of devices
//!
//! The first answer of every run leads to a query of the user's devices, whatever was known before,
//! and to the question who is logged in. So does every answer that names the user in `device_lists`,
//! and the next one when something is to be shared after the server was silent for a while. Until the
//! query is answered nothing is shared.
//!
//! `/keys/changes` is not asked. It tells which of many users changed while a client was away. Here
//! there is one user, whose query costs as much as that question; and "nothing changed" must not
//! stand for a list that was queried, because then a server that forgets a change, by mistake or not,
//! has a secret shared with a device that is gone.

use std::future::Future;
use std::time::Duration;

use fourfold::Timestamp;
use fourfold::sharing::Input;
use serde::Deserialize;
use tracing::{debug, instrument, warn};

use super::error::DeviceError;
use super::event::DeviceEvent;
use super::position::Position;
use super::sharing::SecretSource;
use super::step::Step;
use super::this_device::Device;
use crate::account::SyncAnswer;
use crate::{Account, Error};

/// An answer of the server that was not taken in yet. Dropping it loses nothing: the server gives
/// the same again.
#[derive(Debug)]
pub struct SyncBatch {
    answer: SyncAnswer,
    arrived: Timestamp,
}

impl SyncBatch {
    /// Returns `true` if the server had nothing for this device.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let answer = &self.answer;
        answer.to_device.events.is_empty()
            && answer.to_device.left_out == 0
            && answer.device_lists.changed.is_empty()
            && answer.device_lists.left.is_empty()
    }

    /// The encrypted to-device events in it, as the JSON text that the server holds.
    pub fn encrypted_events(&self) -> impl Iterator<Item = &str> {
        #[derive(Deserialize)]
        struct Type<'a> {
            #[serde(borrow, rename = "type")]
            event_type: std::borrow::Cow<'a, str>,
        }
        let events = self.answer.to_device.events.iter().map(|event| event.get());
        events.filter(|event| {
            serde_json::from_str::<Type<'_>>(event)
                .is_ok_and(|event| event.event_type == "m.room.encrypted")
        })
    }
}

impl Device {
    /// Waits until the server has something for this device, at most so long. Changes nothing: it
    /// can be dropped at any moment, and the device can be used meanwhile.
    ///
    /// Ask for a minute at most: when the server said nothing for 90 seconds, nothing is shared
    /// before it does.
    ///
    /// # Errors
    ///
    /// [`DeviceError::OtherDevice`], and in the future the errors of every call.
    pub fn wait(
        &self,
        account: &Account,
        timeout: Duration,
    ) -> Result<impl Future<Output = Result<SyncBatch, Error>> + Send + use<>, DeviceError> {
        self.check_account(account)?;
        let (account, clock) = (account.clone(), self.clock);
        let since = self.position.since.clone();
        // Nothing is shared before the devices were looked at again, which the next answer brings.
        let timeout = if self.trust().is_fresh() {
            timeout
        } else {
            Duration::ZERO
        };
        Ok(async move {
            let answer = account.sync(since.as_deref(), timeout).await?;
            let arrived = clock.now();
            Ok(SyncBatch { answer, arrived })
        })
    }

    /// Takes in what [`wait`](Self::wait) gave, answers what can be answered, and gives back what
    /// there is to tell.
    ///
    /// Everything that comes of it is kept in one step together with how far was read, before
    /// anything leaves. After an error nothing of it happened, and the server gives it again; but
    /// what it shows of the devices is known from then on, and told by the next call. The same holds
    /// when the future is dropped.
    ///
    /// # Errors
    ///
    /// Errors of reading or writing the local state, and those of every call.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn take(
        &mut self,
        account: &Account,
        batch: SyncBatch,
        secrets: &mut impl SecretSource,
    ) -> Result<Vec<DeviceEvent>, DeviceError> {
        self.take_untold(account, batch, secrets).await?;
        self.sharing.hand_over_audit(&self.rows, &mut self.events)?;
        Ok(self.events.take_all())
    }

    /// [`wait`](Self::wait) and [`take`](Self::take) in one.
    ///
    /// # Errors
    ///
    /// As both.
    pub async fn sync_once(
        &mut self,
        account: &Account,
        timeout: Duration,
        secrets: &mut impl SecretSource,
    ) -> Result<Vec<DeviceEvent>, DeviceError> {
        let batch = self.wait(account, timeout)?.await?;
        self.take(account, batch, secrets).await
    }

    /// Does what is due: shares what may be shared, sends what waits to be sent, and publishes keys
    /// that the server lacks. To be called after anything that the user asked for, and when
    /// [`due_in`](Self::due_in) is over. What there is to tell comes with the next
    /// [`take`](Self::take), or from [`events`](Self::events).
    ///
    /// # Errors
    ///
    /// Errors of reading or writing the local state, and those of every call. What was not sent is
    /// sent the next time, and so it is when the future is dropped.
    #[instrument(level = "debug", skip_all, fields(user = self.user_id()))]
    pub async fn flush(
        &mut self,
        account: &Account,
        secrets: &mut impl SecretSource,
    ) -> Result<(), DeviceError> {
        self.check_account(account)?;
        self.tick_and_keep()?;
        self.take_up_held(account, secrets).await?;
        self.send_waiting(account).await?;
        self.share_waiting(account, secrets).await?;
        self.replace_wedged(account).await?;
        self.upload_keys(account).await
    }

    /// The events since the last call.
    ///
    /// # Errors
    ///
    /// If the local state cannot be read or written.
    pub fn events(&mut self) -> Result<Vec<DeviceEvent>, DeviceError> {
        self.sharing.hand_over_audit(&self.rows, &mut self.events)?;
        Ok(self.events.take())
    }

    /// Whether there is something to tell before anything else happens.
    pub(crate) fn has_untold(&self) -> bool {
        self.events.is_any()
    }

    /// As [`take`](Self::take), and leaves what there is to tell to the next call that tells.
    pub(crate) async fn take_untold(
        &mut self,
        account: &Account,
        batch: SyncBatch,
        secrets: &mut impl SecretSource,
    ) -> Result<(), DeviceError> {
        self.check_account(account)?;
        let step = Step::begin(self);
        let taken = step.device.take_in(account, batch, secrets).await;
        let is_older_copy = step.end(taken)?;
        // From here on it is kept: what cannot be done now is done the next time.
        debug!("taken in");
        if is_older_copy {
            self.start_over(account).await?;
        }
        match self.flush(account, secrets).await {
            Err(DeviceError::Server(error)) => warn!(%error, "not everything could be sent yet"),
            flushed => flushed?,
        }
        Ok(())
    }

    /// Keeps what comes of an answer, in one step. `true` when it shows that the files are an older
    /// copy.
    async fn take_in(
        &mut self,
        account: &Account,
        SyncBatch { answer, arrived }: SyncBatch,
        secrets: &mut impl SecretSource,
    ) -> Result<bool, DeviceError> {
        self.sharing.forget_audit(&mut self.rows);
        // The first answer tells no changes: what came before it may have been missed.
        if self.position.since.is_none()
            || answer.device_lists.changed.may_have(self.user_id())
            || answer.device_lists.left.may_have(self.user_id())
        {
            self.devices.mark_stale();
            self.tell(Input::TrustChanged);
        }
        // Before the events, so that a new device is known when something of it comes.
        if self.devices.is_due(self.now()) {
            match self.refresh_and_tell(account).await {
                Ok(()) => {}
                // The same answer again: waiting for a better one would hold up everything. Until
                // there is one, nothing is shared.
                Err(DeviceError::Devices(error)) => warn!(%error, "the list of devices is unknown"),
                Err(DeviceError::Server(error)) if error.is_final_answer() => {
                    warn!(%error, "the list of devices is unknown");
                }
                Err(error) => return Err(error),
            }
        }
        // Nothing changed, or it was queried just now.
        self.devices.confirm(arrived);
        let is_older_copy = self.observe_counts(&answer)?;
        if answer.to_device.left_out > 0 {
            warn!(
                count = answer.to_device.left_out,
                "events that are too large or too many are ignored"
            );
        }
        for event in &answer.to_device.events {
            self.receive(event.get())?;
        }
        self.poll_verifications()?;
        self.run_sharing(account, secrets).await?;
        self.tick_sharing()?;
        let position = Position {
            since: Some(answer.next_batch),
            moment: Some(self.clock.now()),
        };
        position.save(&mut self.rows)?;
        self.commit()?;
        // Never ahead of what is kept: the server forgets what was read.
        self.position = position;
        Ok(is_older_copy)
    }
}
