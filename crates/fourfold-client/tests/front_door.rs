//! The examples, run against our own server.

#![expect(clippy::unwrap_used, reason = "test helpers")]

use fourfold::cross_signing::CrossSigningKeys;
use fourfold::plan::{self, WritingKey};
use fourfold::rand_core::UnwrapErr;
use fourfold::{NewKey, ProvenKey, Secret, SecretName, SecretStorage};
use fourfold_client::{
    Client, ClientError, DeviceError, Homeserver, LoginName, Options, Password, SealingKey,
    VerifySelfError,
};
use fourfold_server::{Config, PasswordCost, RateLimits, Server};
use getrandom::SysRng;
use tempfile::TempDir;

#[expect(dead_code, reason = "the test calls what main calls")]
#[path = "../examples/answer.rs"]
mod answer;
#[expect(dead_code, reason = "the test calls what main calls")]
#[path = "../examples/bot.rs"]
mod bot;

const USER: &str = "@bot:localhost";

#[tokio::test]
async fn a_bot_reads_verifies_and_stores() {
    let account = Scene::new().await;
    let (password, recovery_key) = (password(), account.recovery_key());
    let read = bot::bot(&account.address, USER, &password, &recovery_key);
    assert_eq!(read.await.unwrap().expose_secret(), "old");
    assert_eq!(account.stored().await, "new");
    // The device of the bot is signed by the identity, as the server shows it.
    let published = account.owner.account().published_keys().await.unwrap();
    let (_, bot) = published.devices().next().unwrap();
    let bot = bot.as_ref().unwrap();
    let self_signing_key = account.identity.self_signing_key().public_key();
    self_signing_key.verify(bot.content(), USER).unwrap();
}

#[tokio::test]
async fn one_device_answers_the_request_of_another() {
    let account = Scene::new().await;
    let recovery_key = account.recovery_key();
    account
        .owner
        .device()
        .verify_self(&account.key)
        .await
        .unwrap();
    let password = password();
    let name = token();
    tokio::select! {
        ended = answer::answer(&account.address, USER, &password, &recovery_key, |_| {}) => {
            panic!("it ended: {}", ended.unwrap_err());
        }
        came = async {
            account.wait_for_signed_devices(2).await;
            account.owner.device().request(&name).await
        } => assert_eq!(came.unwrap().expose_secret(), "old"),
    }
}

#[tokio::test]
async fn a_client_that_is_kept_goes_on_with_its_device() {
    let account = Scene::new().await;
    let folder = TempDir::new().unwrap();
    let (folder, sealing) = (
        folder.path().join("state"),
        SealingKey::from_bytes(&[7; 32]),
    );
    let password = password();
    let homeserver = Homeserver::discover(&account.address).await.unwrap();
    let client = homeserver
        .log_in(USER, &password)
        .kept_in(&folder, &sealing);
    let client = client.await.unwrap();
    let verified = client.device().verify_self(&account.key).await.unwrap();
    assert!(verified.was_signed && verified.pinned_master_key.is_some());
    let device_id = client.account().device_id().unwrap().to_owned();
    drop(client);

    let client = Client::open(&folder, USER, &sealing, &Options::default()).unwrap();
    assert_eq!(client.account().device_id(), Some(&*device_id));
    let verified = client.device().verify_self(&account.key).await.unwrap();
    assert!(!verified.was_signed, "it is the same device");
    client.log_out().await.unwrap();
    drop(client);
    assert!(matches!(
        Client::open(&folder, USER, &sealing, &Options::default()),
        Err(ClientError::Device(DeviceError::LoggedOut))
    ));
}

/// What stands under the ID of this device and was not made here is not this device.
#[tokio::test]
async fn nothing_is_signed_under_an_id_with_other_keys() {
    let account = Scene::new().await;
    let first = account.owner.device().verify_self(&account.key);
    assert!(first.await.unwrap().was_signed);
    // The same log-in on a machine that never made the keys.
    let session = account.owner.account().session().clone();
    let state = fourfold_client::LocalState::in_memory(&session).unwrap();
    let again = account.owner.account().clone();
    let client = Client::from_parts(again, state, SealingKey::from_bytes(&[7; 32]));
    let refused = client.device().verify_self(&account.key).await;
    assert!(matches!(
        refused,
        Err(ClientError::Device(DeviceError::NotMadeHere))
    ));
}

#[tokio::test]
async fn an_identity_that_is_not_in_secret_storage_signs_nothing() {
    let account = Scene::new().await;
    // Another identity takes the place of the stored one.
    let other = CrossSigningKeys::generate(&mut UnwrapErr(SysRng));
    let keys = other.public_keys(USER).unwrap();
    let published = account.owner.account();
    let password = password();
    let upload = published.upload_cross_signing_keys(&keys, Some(&password));
    upload.await.unwrap();
    let refused = account.owner.device().verify_self(&account.key).await;
    assert!(matches!(
        refused,
        Err(ClientError::VerifySelf(VerifySelfError::Keys(_)))
    ));
    let shown = published.published_keys().await.unwrap();
    let key = other.self_signing_key().public_key();
    for (_, device) in shown.devices() {
        key.verify(device.as_ref().unwrap().content(), USER)
            .unwrap_err();
    }
}

/// A user whose identity and one secret are in secret storage.
struct Scene {
    address: String,
    owner: Client,
    key: ProvenKey,
    identity: CrossSigningKeys,
    _folder: TempDir,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Scene {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut config = Config::new("localhost", folder.path().join("server"));
        config.network.bind = ([127, 0, 0, 1], 0).into();
        config.rate_limits = RateLimits::disabled();
        config.accounts.password_cost = PasswordCost::minimal();
        let server = Server::bind(config).await.unwrap();
        let address = format!("http://{}", server.local_addr());
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        tokio::spawn(server.run(async { drop(stopped.await) }));

        let homeserver = Homeserver::discover(&address).await.unwrap();
        let name = LoginName::new(USER).unwrap();
        let password = password();
        let registered = homeserver.register(&name, &password, None);
        registered.await.map(drop).unwrap();
        let owner = homeserver.log_in(USER, &password).await.unwrap();
        let identity = CrossSigningKeys::generate(&mut UnwrapErr(SysRng));
        let keys = identity.public_keys(USER).unwrap();
        let account = owner.account();
        let upload = account.upload_cross_signing_keys(&keys, Some(&password));
        upload.await.unwrap();
        let new = NewKey::random(None, &mut UnwrapErr(SysRng));
        let snapshot = owner.snapshot().await.unwrap();
        let storage = SecretStorage::new(&snapshot.account_data);
        owner
            .apply(&plan::set_up(&storage, &new).unwrap())
            .await
            .unwrap();
        let scene = Self {
            address,
            owner,
            key: new.into_key(),
            identity,
            _folder: folder,
            _stop: stop,
        };
        for (name, secret) in scene.identity.secrets() {
            scene.store(&name, &secret).await;
        }
        scene.store(&token(), &Secret::new("old")).await;
        scene
    }

    async fn store(&self, name: &SecretName, secret: &Secret) {
        let snapshot = self.owner.snapshot().await.unwrap();
        let storage = SecretStorage::new(&snapshot.account_data);
        let keys = [WritingKey::Proven(&self.key)];
        let mut rng = UnwrapErr(SysRng);
        let plan = plan::store(
            &storage,
            name,
            secret,
            &keys,
            &snapshot.published_keys(),
            &mut rng,
        );
        self.owner.apply(&plan.unwrap()).await.unwrap();
    }

    async fn stored(&self) -> String {
        // Written by another client since.
        let snapshot = self.owner.account().snapshot().await.unwrap();
        let storage = SecretStorage::new(&snapshot.account_data);
        let opened = storage.open(&token(), self.key.key()).unwrap();
        opened.secret.expose_secret().to_owned()
    }

    fn recovery_key(&self) -> String {
        self.key.key().expose_recovery_key().to_string()
    }

    /// Waits until the server shows so many devices with a signature of the identity.
    async fn wait_for_signed_devices(&self, count: usize) {
        let key = self.identity.self_signing_key().public_key();
        loop {
            let shown = self.owner.account().published_keys().await.unwrap();
            let devices = shown
                .devices()
                .filter_map(|(_, device)| device.as_ref().ok());
            let signed = devices.filter(|device| key.verify(device.content(), USER).is_ok());
            if signed.count() >= count {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn password() -> Password {
    Password::new("a password")
}

fn token() -> SecretName {
    SecretName::new("org.example.token").unwrap()
}
