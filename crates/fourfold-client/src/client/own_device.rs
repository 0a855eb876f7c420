//! What is done with the device that this log-in is.

use std::time::Duration;

use fourfold::cross_signing::{ConfirmedDevice, OpenedKeys};
use fourfold::sharing::{Origin, Outcome, Policy, Recipients};
use fourfold::{PublishedKeys, Secret, SecretName, SecretStorageKey};
use tokio::sync::{MappedMutexGuard, MutexGuard};

use super::{Client, ClientError, Unanswered};
use crate::device::LONG_POLL;
use crate::{
    Device, DeviceError, DeviceEvent, NewDevice, NoSecrets, SecretSource, SelfVerification,
    VerifySelfError,
};

impl Client {
    /// The device that this log-in is. Nothing is sent, and its keys are made when they are needed
    /// first.
    #[must_use]
    pub fn device(&self) -> OwnDevice<'_> {
        OwnDevice { client: self }
    }
}

/// The device of a [`Client`]. Its keys are made and published when a function needs them first.
///
/// Each function is one call for what [`Device`] does in parts, and holds the device until it is done: others
/// wait.
#[derive(Clone, Copy, Debug)]
pub struct OwnDevice<'a> {
    client: &'a Client,
}

impl<'a> OwnDevice<'a> {
    /// Verifies this device with a key of secret storage: opens the keys of the identity, compares
    /// them with what is published, signs this device, reads the signature back, and holds on to the
    /// master key. Afterwards the other devices of the user share secrets with it.
    ///
    /// # Errors
    ///
    /// [`ClientError::VerifySelf`], and as [`Client::snapshot`].
    pub async fn verify_self(
        self,
        key: impl AsRef<SecretStorageKey>,
    ) -> Result<SelfVerification, ClientError> {
        let client = self.client;
        let snapshot = client.snapshot().await?;
        let mut device = self.lock().await?;
        let published = client.account.published_keys().await?;
        let published_keys = PublishedKeys {
            identity: Some(published.identity().clone()),
            backup: None,
        };
        let opened = OpenedKeys::open(&snapshot.storage(), key.as_ref(), &published_keys);
        let keys = opened
            .for_signing_devices()
            .map_err(VerifySelfError::from)?;
        let mut state = client.state().await;
        let verified = device
            .verify_self(&client.account, &mut state, &keys, false)
            .await;
        Ok(verified?)
    }

    /// Asks the user's other devices for a secret, and waits until one has answered or none will.
    /// Only verified devices are asked, and this one must be verified for them.
    ///
    /// # Errors
    ///
    /// [`ClientError::Unanswered`], and the errors of every call and of the file system. A request
    /// whose future is dropped stays open: its answer is found by the next one.
    pub async fn request(self, name: &SecretName) -> Result<Secret, ClientError> {
        let account = &self.client.account;
        let mut device = self.lock().await?;
        let request_id = match device.open_request(name) {
            Some(open) => open,
            None => device.request_secret(name.clone(), Recipients::Verified)?,
        };
        device.flush(account, &mut NoSecrets::new()).await?;
        loop {
            let mut received = device.received_secrets()?.into_iter();
            if let Some(received) = received.find(|it| it.name == *name && !it.is_pushed) {
                device.discard_received(&received.id)?;
                return Ok(received.secret);
            }
            let timeout = device.due_in().map_or(LONG_POLL, |due| due.min(LONG_POLL));
            let told = device
                .sync_once(account, timeout, &mut NoSecrets::new())
                .await?;
            for event in told {
                match event {
                    DeviceEvent::Ended {
                        request_id: ended,
                        outcome,
                        ..
                    } if ended == request_id && outcome != Outcome::Received => {
                        let name = name.clone();
                        return Err(Unanswered { name, outcome }.into());
                    }
                    DeviceEvent::ReceivedSame { origin, secret, .. }
                        if origin == Origin::Requested(request_id.clone()) =>
                    {
                        return Ok(secret);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Answers the requests of the user's other devices by a policy, for as long as it is awaited;
    /// `tell` hears what happens, the questions for the user among it
    /// ([`Device::answer_prompt`] answers them; see [`Client::into_parts`]).
    ///
    /// `names` are the secrets that may be shared at all; `secrets` is asked for one at the moment at
    /// which it is needed.
    ///
    /// # Errors
    ///
    /// Ends with an error only: [`Device::run`].
    pub async fn share(
        self,
        names: Vec<SecretName>,
        policy: Policy,
        secrets: &mut impl SecretSource,
        tell: impl FnMut(DeviceEvent) + Send,
    ) -> ClientError {
        let mut device = match self.lock().await {
            Ok(device) => device,
            Err(error) => return error,
        };
        let ready = device
            .set_policy(policy)
            .and_then(|()| device.set_shareable(names));
        if let Err(error) = ready {
            return error.into();
        }
        device.run(&self.client.account, secrets, tell).await.into()
    }

    /// Takes in what the server has for this device, after waiting for it at most so long, and
    /// answers what can be answered: [`Device::sync_once`].
    ///
    /// # Errors
    ///
    /// The errors of every call and of the file system.
    pub async fn sync(
        self,
        timeout: Duration,
        secrets: &mut impl SecretSource,
    ) -> Result<Vec<DeviceEvent>, ClientError> {
        let mut device = self.lock().await?;
        let told = device.sync_once(&self.client.account, timeout, secrets);
        Ok(told.await?)
    }

    /// The device, with keys that are kept and published from now on.
    async fn lock(self) -> Result<MappedMutexGuard<'a, Device>, ClientError> {
        let mut device = self.client.device.lock().await;
        if device.is_none() {
            let mut opened = self.open().await?;
            opened.upload_keys(&self.client.account).await?;
            *device = Some(opened);
        }
        MutexGuard::try_map(device, Option::as_mut).map_err(|_| DeviceError::NoKeys.into())
    }

    /// The keys that are kept, or new ones. What the server shows under the ID of this device must be
    /// what is here: keys that were not made here are not this device.
    async fn open(self) -> Result<Device, ClientError> {
        let client = self.client;
        let published = client.account.published_keys().await?;
        let mut state = client.state().await;
        let id = client.account.device_id().ok_or(DeviceError::NoDeviceId)?;
        if Device::exists(&state)? {
            match Device::open(&mut state, &client.sealing) {
                Err(DeviceError::NoKeys | DeviceError::OtherDevice) => {}
                opened => {
                    let device = opened?;
                    if published.device(id).is_some() {
                        ConfirmedDevice::own(device.device_keys())
                            .and_then(|this| this.check_served(&published))
                            .map_err(VerifySelfError::from)?;
                    }
                    return Ok(device);
                }
            }
        }
        if published.device(id).is_some() {
            return Err(DeviceError::NotMadeHere.into());
        }
        let device = NewDevice::generate(&state)?.keep(&mut state, &client.sealing)?;
        Ok(device)
    }
}
