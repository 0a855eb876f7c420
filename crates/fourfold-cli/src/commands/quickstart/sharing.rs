//! The second half of the story: devices that ask each other, and get what they ask for only when
//! they are verified.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fourfold::cross_signing::{ConfirmedDevice, CrossSigningKeys};
use fourfold::identity::PinnedBy;
use fourfold::judged::Cleared;
use fourfold::sharing::Recipients;
use fourfold::{Secret, SecretName, plan};
use fourfold_client::{
    Account, Device as OlmDevice, DeviceEvent, LocalState, Password, SealingKey, ShortString,
    VerificationEvent, apply,
};

use super::story::{Device, PASSWORD, broken, check, detail, holds, title};
use crate::error::Result;
use crate::keys::random::rng;

/// Steps 8 to 12.
pub(super) async fn tell(address: &str, folder: &Path, laptop: Device) -> Result<()> {
    let name = SecretName::new("org.example.diary").map_err(broken)?;
    let diary = Secret::new(DIARY);

    title("8. The laptop makes an identity, to which its user's devices belong.")?;
    let mut laptop = Party::new(laptop).await?;
    let identity = CrossSigningKeys::generate(&mut rng());
    laptop.publish(&identity).await?;
    laptop.hold(name.clone(), &diary)?;
    detail(format_args!(
        "master key {}",
        identity.master_key().public_key()
    ))?;
    detail("and it has a secret that is not in secret storage")?;

    title("9. An unverified tablet logs in, and asks every device for the secret.")?;
    let tablet = Device::log_in(address, folder, "tablet").await?;
    let mut tablet = Party::new(tablet).await?;
    let request = tablet
        .device
        .request_secret(name.clone(), Recipients::Everyone)?;
    for _ in 0..4 {
        tablet.round().await?;
        laptop.round().await?;
    }
    check(
        tablet.device.received_secrets()?.is_empty(),
        "an unverified device got a secret",
    )?;
    detail("There is no answer, not even a refusal.")?;
    tablet.device.abort_request(request)?;

    title("10. Their user compares the emoji on both, and confirms that they match.")?;
    let shown = verify(&mut tablet, &mut laptop, &identity).await?;
    for emoji in shown.emoji {
        detail(format_args!("{}  {}", emoji.symbol, emoji.name))?;
    }
    detail("The laptop signs the tablet, and the tablet pins the master key.")?;

    title("11. The tablet asks again, and gets it.")?;
    tablet.device.refresh(&tablet.account).await?;
    laptop.device.refresh(&laptop.account).await?;
    tablet
        .device
        .request_secret(name.clone(), Recipients::Verified)?;
    let mut message = None;
    for _ in 0..MAX_ROUNDS {
        laptop.round().await?;
        message = tablet.round().await?.or(message);
        if !tablet.device.received_secrets()?.is_empty() {
            break;
        }
    }
    let received = tablet.device.received_secrets()?;
    let [received] = received.as_slice() else {
        return Err(broken("the tablet did not get the secret, once"));
    };
    check(
        received.name == name && received.secret.is_same(&diary),
        "the tablet got something else",
    )?;
    detail(format_args!(
        "{name}: {} bytes, from {}",
        received.secret.expose_secret().len(),
        received.from.device_id
    ))?;

    title("12. This is what the server saw of the message:")?;
    let message = message.ok_or_else(|| broken("nothing encrypted came"))?;
    let beginning: String = message.chars().take(MAX_SHOWN).collect();
    detail(format_args!("{beginning}… ({} bytes)", message.len()))?;
    check(
        !holds(&folder.join("server"), &diary)?,
        "the server's files hold the secret in clear",
    )?;
    detail("The secret is nowhere in its files: searched.")
}

/// A device that takes part in the sharing.
struct Party {
    account: Account,
    state: LocalState,
    device: OlmDevice,
    secrets: BTreeMap<SecretName, Secret>,
}

impl Party {
    /// Makes keys for a log-in and publishes them.
    async fn new(mut log_in: Device) -> Result<Self> {
        let sealing = SealingKey::generate(&mut rng());
        let device = OlmDevice::create(&mut log_in.state, &sealing)?;
        let mut party = Self {
            account: log_in.account,
            state: log_in.state,
            device,
            secrets: BTreeMap::new(),
        };
        party.device.upload_keys(&party.account).await?;
        party.device.refresh(&party.account).await?;
        Ok(party)
    }

    /// Publishes an identity, signs this device with it and holds on to it.
    async fn publish(&mut self, identity: &CrossSigningKeys) -> Result<()> {
        let keys = identity
            .public_keys(self.account.user_id())
            .map_err(broken)?;
        let password = Password::new(PASSWORD);
        self.account
            .upload_cross_signing_keys(&keys, Some(&password))
            .await?;
        let this = ConfirmedDevice::own(self.device.device_keys())?;
        self.sign(&this, identity).await?;
        self.device.refresh(&self.account).await?;
        let master_key = identity.master_key().public_key();
        Ok(self.device.pin(master_key, PinnedBy::PrivateKey)?)
    }

    async fn sign(&mut self, device: &ConfirmedDevice, identity: &CrossSigningKeys) -> Result<()> {
        let published = self.account.published_keys().await?;
        let plan = plan::sign_device(&published, device, identity.self_signing_key())?;
        Ok(apply(
            &self.account,
            &mut self.state,
            Cleared::without_comparing(&plan),
            None,
            |_| {},
        )
        .await?)
    }

    fn hold(&mut self, name: SecretName, secret: &Secret) -> Result<()> {
        self.device.set_shareable(vec![name.clone()])?;
        self.secrets
            .insert(name, Secret::new(secret.expose_secret()));
        Ok(())
    }

    /// Sends what waits and takes in what came. Returns the last encrypted message, as the server
    /// has it.
    async fn round(&mut self) -> Result<Option<String>> {
        self.device.flush(&self.account, &mut self.secrets).await?;
        let batch = self.device.wait(&self.account, Duration::ZERO)?.await?;
        let message = batch.encrypted_events().last().map(str::to_owned);
        self.device
            .take(&self.account, batch, &mut self.secrets)
            .await?;
        Ok(message)
    }

    /// The same, for what happens in verifications.
    async fn verification_events(&mut self) -> Result<Vec<(String, VerificationEvent)>> {
        self.device.flush(&self.account, &mut self.secrets).await?;
        let events = self
            .device
            .sync_once(&self.account, Duration::ZERO, &mut self.secrets)
            .await?;
        let of_verification = |event| match event {
            DeviceEvent::Verification { id, event } => Some((id, event)),
            _ => None,
        };
        Ok(events.into_iter().filter_map(of_verification).collect())
    }
}

/// One asks, the other agrees, both show the same, and each does what it can with the result.
async fn verify(
    tablet: &mut Party,
    laptop: &mut Party,
    identity: &CrossSigningKeys,
) -> Result<ShortString> {
    tablet.device.refresh(&tablet.account).await?;
    let laptop_id = laptop.device.device_id().to_owned();
    tablet.device.verify(Some(&[&laptop_id]))?;
    let mut shown = [None, None];
    let mut is_compared = false;
    let mut is_verified = [false, false];
    for _ in 0..MAX_ROUNDS {
        for (side, party) in [&mut *tablet, &mut *laptop].into_iter().enumerate() {
            for (id, event) in party.verification_events().await? {
                match event {
                    VerificationEvent::Requested { .. } => party.device.agree_to_verify(&id)?,
                    VerificationEvent::Compare(string) => {
                        if let Some(shown) = shown.get_mut(side) {
                            *shown = Some((id, string));
                        }
                    }
                    VerificationEvent::Verified {
                        device_id,
                        ed25519,
                        master_key,
                    } => {
                        if let Some(master_key) = master_key.filter(|_| side == 0) {
                            party.device.pin(master_key, PinnedBy::Verified)?;
                        }
                        party.device.confirm(&device_id, ed25519)?;
                        if side == 1 {
                            let published = party.account.published_keys().await?;
                            let confirmed = ConfirmedDevice::with_fingerprint(
                                &published, &device_id, &ed25519,
                            )?;
                            party.sign(&confirmed, identity).await?;
                        }
                        if let Some(is_verified) = is_verified.get_mut(side) {
                            *is_verified = true;
                        }
                    }
                    VerificationEvent::Cancelled { code, .. } => {
                        return Err(broken(format_args!("cancelled: {}", code.code())));
                    }
                    _ => {}
                }
            }
        }
        if let [Some((one, left)), Some((other, right))] = &shown
            && !is_compared
        {
            is_compared = true;
            check(left == right, "the devices show different emoji")?;
            tablet.device.compared(one, true)?;
            laptop.device.compared(other, true)?;
        }
        if is_verified == [true, true] {
            let [Some((_, shown)), _] = shown else { break };
            return Ok(shown);
        }
    }
    Err(broken("the verification did not finish"))
}

const DIARY: &str = "what four friends folded into one letter";

/// The length of a message that is shown.
const MAX_SHOWN: usize = 300;

/// After so many exchanges of messages something is broken.
const MAX_ROUNDS: usize = 20;
