//! How long it takes from asking another device for a secret to having it: what
//! `cargo xtask bench sharing` runs. Arguments: the URL of a homeserver, a password, and the users.
//!
//! A device answers twenty times an hour and no more. So there are several users, each with two
//! devices that keep their state on disk, and each asks eighteen times, for another secret each time.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use fourfold::cross_signing::{ConfirmedDevice, CrossSigningKeys};
use fourfold::identity::PinnedBy;
use fourfold::judged::Cleared;
use fourfold::rand_core::UnwrapErr;
use fourfold::sharing::{Recipients, Rule};
use fourfold::{Secret, SecretName, plan};
use fourfold_client::{
    Account, Device, Homeserver, LocalState, NoSecrets, Options, Password, SealingKey, apply,
};
use getrandom::SysRng;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Requests of each user: fewer than a device answers in an hour.
const REQUESTS: usize = 18;

/// The user waits no longer for one secret.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let base = arguments.next().ok_or("the URL is missing")?;
    let password = Password::new(arguments.next().ok_or("the password is missing")?);
    let folder = tempfile::tempdir()?;
    let (mut first, mut later) = (Vec::new(), Vec::new());
    for user in arguments {
        let place = folder.path().join(&user);
        let taken = of_one_user(&base, &user, &password, &place).await?;
        let (one, others) = taken.split_first().ok_or("nothing was asked for")?;
        first.push(*one);
        later.extend(others);
    }
    report("first", first)?;
    report("later", later)
}

/// The times of one user, the first of which includes making an Olm session.
async fn of_one_user(
    base: &str,
    user: &str,
    password: &Password,
    folder: &Path,
) -> Result<Vec<Duration>> {
    let mut laptop = Party::log_in(base, user, password, &folder.join("laptop")).await?;
    let mut phone = Party::log_in(base, user, password, &folder.join("phone")).await?;
    let identity = CrossSigningKeys::generate(&mut UnwrapErr(SysRng));
    let keys = identity.public_keys(laptop.account.user_id())?;
    laptop
        .account
        .upload_cross_signing_keys(&keys, Some(password))
        .await?;
    for party in [&mut laptop, &mut phone] {
        party.sign(&identity).await?;
    }
    for party in [&mut laptop, &mut phone] {
        party.device.refresh(&party.account).await?;
        let master_key = identity.master_key().public_key();
        party.device.pin(master_key, PinnedBy::PrivateKey)?;
        party
            .device
            .sync_once(&party.account, Duration::ZERO, &mut NoSecrets::new())
            .await?;
    }
    let names = (0..REQUESTS)
        .map(|number| SecretName::new(format!("org.example.bench.{number}")))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    laptop.hold(&names)?;
    let answering = tokio::spawn(laptop.answer());
    let mut taken = Vec::new();
    for name in names {
        taken.push(phone.ask(name).await?);
    }
    answering.abort();
    Ok(taken)
}

/// A device that takes part.
struct Party {
    account: Account,
    state: LocalState,
    device: Device,
    secrets: BTreeMap<SecretName, Secret>,
}

impl Party {
    async fn log_in(base: &str, user: &str, password: &Password, folder: &Path) -> Result<Self> {
        let options = Options::default();
        let homeserver = Homeserver::new(base, &options)?;
        let session = homeserver.log_in(user, password).session().await?;
        let mut state = LocalState::create(folder, &session)?;
        let account = Account::new(session, &options)?;
        let sealing = SealingKey::generate(&mut UnwrapErr(SysRng));
        let mut device = Device::create(&mut state, &sealing)?;
        device.upload_keys(&account).await?;
        Ok(Self {
            account,
            state,
            device,
            secrets: BTreeMap::new(),
        })
    }

    async fn sign(&mut self, identity: &CrossSigningKeys) -> Result<()> {
        let published = self.account.published_keys().await?;
        let this = ConfirmedDevice::own(self.device.device_keys())?;
        let plan = plan::sign_device(&published, &this, identity.self_signing_key())?;
        apply(
            &self.account,
            &mut self.state,
            Cleared::without_comparing(&plan),
            None,
            |_| {},
        )
        .await?;
        Ok(())
    }

    /// Holds secrets that every verified device may have.
    fn hold(&mut self, names: &[SecretName]) -> Result<()> {
        let mut policy = self.device.policy().clone();
        for name in names {
            policy = policy.with_rule(name.clone(), Rule::Allow);
            self.secrets
                .insert(name.clone(), Secret::new(format!("the value of {name}")));
        }
        self.device.set_policy(policy)?;
        self.device.set_shareable(names.to_vec())?;
        Ok(())
    }

    async fn answer(mut self) {
        let ended = self.device.run(&self.account, &mut self.secrets, |_| ());
        let error = ended.await;
        let _written = writeln!(io::stderr(), "the answering device ended: {error}");
    }

    /// From the wish for a secret until it is here and kept.
    async fn ask(&mut self, name: SecretName) -> Result<Duration> {
        let begun = Instant::now();
        self.device
            .request_secret(name.clone(), Recipients::Verified)?;
        let mut nothing = NoSecrets::new();
        self.device.flush(&self.account, &mut nothing).await?;
        while begun.elapsed() < PATIENCE {
            self.device
                .sync_once(&self.account, PATIENCE, &mut nothing)
                .await?;
            let received = self.device.received_secrets()?;
            if let Some(received) = received.iter().find(|received| received.name == name) {
                let taken = begun.elapsed();
                self.device.discard_received(&received.id)?;
                return Ok(taken);
            }
        }
        Err(format!("{name} did not come").into())
    }
}

fn report(kind: &str, mut taken: Vec<Duration>) -> Result<()> {
    taken.sort();
    let at = |percent: usize| {
        let index = (taken.len() * percent / 100).min(taken.len().saturating_sub(1));
        taken.get(index).map_or(0, Duration::as_micros)
    };
    writeln!(
        io::stdout(),
        "{kind} requests={} p50_us={} p99_us={}",
        taken.len(),
        at(50),
        at(99),
    )?;
    Ok(())
}
