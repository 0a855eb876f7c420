//! The examples, run against our own server.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "test helpers")]

use std::collections::BTreeMap;
use std::time::Duration;

use fourfold::cross_signing::{CrossSigningKeys, KnownKeys};
use fourfold::identity::{CannotAsk, TrustChange};
use fourfold::judged::{Cleared, Writable};
use fourfold::plan::{self, Action, BootstrapKey, Wishes, WritingKey};
use fourfold::rand_core::UnwrapErr;
use fourfold::sharing::{Policy, Rule};
use fourfold::{NewKey, Plan, ProvenKey, Secret, SecretName, SecretStorage};
use fourfold_client::{
    Account, Client, ClientError, DeviceError, DeviceEvent, Homeserver, LoginName, NoSecrets,
    Options, Password, SealingKey, VerifySelfError,
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

/// Nobody can use the session that was kept before, so it does not stay logged in.
#[tokio::test]
async fn a_kept_log_in_ends_the_one_that_it_takes_the_place_of() {
    let account = Scene::new().await;
    let parent = TempDir::new().unwrap();
    let (folder, sealing) = (
        parent.path().join("state"),
        SealingKey::from_bytes(&[7; 32]),
    );
    let password = password();
    let homeserver = Homeserver::discover(&account.address).await.unwrap();
    let mut kept = Vec::new();
    for _ in 0..2 {
        let log_in = homeserver
            .log_in(USER, &password)
            .kept_in(&folder, &sealing);
        let client = log_in.await.unwrap();
        kept.push(client.account().device_id().unwrap().to_owned());
    }
    let devices = account.owner.account().devices().await.unwrap();
    let is_there = |id: &String| devices.iter().any(|device| device.device_id == *id);
    assert!(!is_there(&kept[0]), "the first one is still logged in");
    assert!(is_there(&kept[1]));
    let owner = account.owner.account().device_id().unwrap().to_owned();
    assert!(is_there(&owner), "that of another machine stays");
}

#[tokio::test]
async fn nothing_is_signed_by_another_identity_than_this_machine_knows() {
    let account = Scene::new().await;
    let homeserver = Homeserver::discover(&account.address).await.unwrap();
    let password = password();
    let client = homeserver.log_in(USER, &password).await.unwrap();
    let verified = client.device().verify_self(&account.key).await.unwrap();
    assert!(verified.pinned_master_key.is_some());
    // Another identity is published, and its private keys are at hand.
    let other = CrossSigningKeys::generate(&mut UnwrapErr(SysRng));
    let keys = other.public_keys(USER).unwrap();
    let owner = account.owner.account();
    let upload = owner.upload_cross_signing_keys(&keys, Some(&password));
    upload.await.unwrap();
    let self_signing_key = other.self_signing_key().public_key();
    let (its, mut state, device) = client.into_parts();
    let mut device = device.unwrap();
    let other = KnownKeys::from(other);
    let is_signed = async || {
        let published = owner.published_keys().await.unwrap();
        let shown = published.device(device_id(&its)).unwrap().as_ref().unwrap();
        self_signing_key.verify(shown.content(), USER).is_ok()
    };
    let now = Writable::accepted(its.snapshot().await.unwrap());
    let refused = device
        .sign_self(&its, &mut state, &now, &other, false)
        .await;
    assert!(matches!(
        refused,
        Err(VerifySelfError::Device(DeviceError::OtherIdentity(_)))
    ));
    assert!(!is_signed().await);
    // The user says that it takes the place of the first one.
    let signed = device.sign_self(&its, &mut state, &now, &other, true).await;
    assert!(signed.unwrap() && is_signed().await);
}

fn device_id(account: &Account) -> &str {
    account.device_id().unwrap()
}

#[tokio::test]
async fn an_account_is_set_up_in_one_call_and_completed_from_another_device() {
    let served = Served::new().await;
    let client = served.log_in().await;
    let new = BootstrapKey::New(NewKey::random(None, &mut UnwrapErr(SysRng)));
    let set_up = client.device().set_up(&new, Wishes::default(), None);
    let done = set_up.await.unwrap();
    assert!(done.is_complete());
    let snapshot = client.snapshot().await.unwrap();
    for (name, secret) in done.secrets() {
        let opened = snapshot.open(&name, new.proven().key()).unwrap();
        assert_eq!(opened.secret.expose_secret(), secret.expose_secret());
    }
    assert!(snapshot.published_keys().has_signed_backup(USER));

    let BootstrapKey::New(new) = new else {
        panic!("it was made here")
    };
    let key = BootstrapKey::Existing(new.into_key());
    let again = client.device().set_up(&key, Wishes::default(), None);
    assert!(again.await.unwrap().plan().is_empty());

    // Another device has nothing to make, and signs itself.
    let other = served.log_in().await;
    let joined = other.device().set_up(&key, Wishes::default(), None);
    let joined = joined.await.unwrap();
    let [step] = &joined.plan().steps[..] else {
        panic!("{:?}", joined.plan())
    };
    assert!(
        matches!(step.action, Action::SignDevice(_)),
        "{}",
        step.action
    );
    let master = |keys: &KnownKeys| keys.master_key().unwrap().public_key();
    assert_eq!(master(joined.keys()), master(done.keys()));
}

#[tokio::test]
async fn an_account_that_was_rolled_back_is_neither_set_up_nor_resumed() {
    let scene = Scene::new().await;
    let account = scene.owner.account();
    let older = account.account_data(token().as_str()).await.unwrap();
    scene.store(&token(), &Secret::new("new")).await;
    scene.owner.snapshot().await.unwrap();
    let newer = account.account_data(token().as_str()).await.unwrap();
    let plan = format!(
        r#"{{"title":"t","warnings":[],"steps":[{{"reason":"r","action":{{"put_account_data":
            {{"event_type":"{}","content":{},"expects":{}}}}}}}]}}"#,
        token(),
        older.unwrap(),
        newer.unwrap(),
    );
    let plan: Plan = plan.parse().unwrap();
    let other = Homeserver::discover(&scene.address).await.unwrap();
    let other = other.log_in(USER, &password()).await.unwrap();
    other
        .apply(Cleared::without_comparing(&plan))
        .await
        .unwrap();

    let refused = scene.owner.snapshot().await;
    let Err(ClientError::Suspicious(refused)) = refused else {
        panic!("{refused:?}")
    };
    let key = BootstrapKey::Existing(scene.key);
    let set_up = scene.owner.device().set_up(&key, Wishes::default(), None);
    assert!(matches!(set_up.await, Err(ClientError::Suspicious(_))));
    // The user made the change: what was shown is what is compared with.
    scene.owner.accept(refused.snapshot).await.unwrap();
    scene.owner.snapshot().await.unwrap();
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
    let before = account.shown_devices().await;
    let refused = client.device().verify_self(&account.key).await;
    assert!(matches!(
        refused,
        Err(ClientError::Device(DeviceError::NotMadeHere))
    ));
    assert_eq!(before.len(), 1);
    assert_eq!(signers(&before[0]).len(), 2, "itself and the identity");
    assert_eq!(account.shown_devices().await, before);
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
    // The device is there, and signed by nobody but itself: not by the published identity, and not
    // by the one whose keys are in secret storage.
    let shown = account.shown_devices().await;
    assert_eq!(shown.len(), 1);
    let device_id = published.device_id().unwrap();
    assert_eq!(signers(&shown[0]), [format!("ed25519:{device_id}")]);
}

/// A key that does not open what the device keeps is refused before anything is sent or replaced.
#[tokio::test]
async fn another_sealing_key_is_refused_before_the_log_in() {
    let account = Scene::new().await;
    let folder = TempDir::new().unwrap();
    let folder = folder.path().join("state");
    let [sealing, other] = [7, 8].map(|byte| SealingKey::from_bytes(&[byte; 32]));
    let password = password();
    let homeserver = Homeserver::discover(&account.address).await.unwrap();
    let log_in = || homeserver.log_in(USER, &password);
    let client = log_in().kept_in(&folder, &sealing).await.unwrap();
    client.device().verify_self(&account.key).await.unwrap();
    let session = client.account().session().clone();
    drop(client);

    let is_wrong_key = |refused: Result<Client, ClientError>| match refused {
        Err(ClientError::Device(DeviceError::WrongKey)) => true,
        other => panic!("{other:?}"),
    };
    let owner = account.owner.account();
    let before = owner.devices().await.unwrap().len();
    assert!(is_wrong_key(log_in().kept_in(&folder, &other).await));
    assert_eq!(owner.devices().await.unwrap().len(), before);
    let options = Options::default();
    assert!(is_wrong_key(Client::open(&folder, USER, &other, &options)));
    let client = Client::open(&folder, USER, &sealing, &options).unwrap();
    assert_eq!(client.account().device_id(), session.device_id.as_deref());
    client.account().whoami().await.unwrap();
    drop(client);
    // With the right key it goes on.
    log_in().kept_in(&folder, &sealing).await.unwrap();
}

/// Verifying a device looks at the others, and what it finds is not lost.
#[tokio::test]
async fn a_device_that_is_seen_while_verifying_is_told() {
    let account = Scene::new().await;
    let owner = account.owner.device();
    owner.verify_self(&account.key).await.unwrap();
    let password = password();
    let homeserver = Homeserver::discover(&account.address).await.unwrap();
    let client = homeserver.log_in(USER, &password).await.unwrap();
    client.device().verify_self(&account.key).await.unwrap();
    let mut nothing = NoSecrets::new();
    let told = client.device().sync(Duration::ZERO, &mut nothing);
    let told = told.await.unwrap();
    let owner = account.owner.account().device_id().unwrap();
    let appeared = told.iter().filter(|event| {
        matches!(event, DeviceEvent::Trust(TrustChange::Appeared { device_id, .. }) if device_id == owner)
    });
    assert_eq!(appeared.count(), 1);
}

/// No device answers one that is not verified, so that none is asked.
#[tokio::test]
async fn a_device_that_nobody_would_answer_does_not_ask() {
    let account = Scene::new().await;
    let owner = account.owner.device();
    let refused = async || match owner.request(&token()).await {
        Err(ClientError::Device(DeviceError::CannotAsk(cannot))) => *cannot,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused().await, CannotAsk::NotPinned);
    owner.verify_self(&account.key).await.unwrap();
    assert_eq!(refused().await, CannotAsk::Nobody);
}

/// A prompt is answered after the future that told of it was dropped, which loses nothing.
#[tokio::test]
async fn a_prompt_is_answered_between_two_times_of_sharing() {
    let account = Scene::new().await;
    let asking = account.owner.device();
    asking.verify_self(&account.key).await.unwrap();
    let password = password();
    let homeserver = Homeserver::discover(&account.address).await.unwrap();
    let client = homeserver.log_in(USER, &password).await.unwrap();
    client.device().verify_self(&account.key).await.unwrap();

    let name = token();
    let mut secrets = BTreeMap::from([(name.clone(), Secret::new("old"))]);
    let answering = async {
        let policy = Policy::default().with_rule(token(), Rule::Ask);
        let (sender, mut prompts) = tokio::sync::mpsc::unbounded_channel();
        let tell = |event| {
            if let DeviceEvent::Prompt(prompt) = event {
                sender.send(prompt).unwrap();
            }
        };
        let shared = client
            .device()
            .share(vec![token()], policy.clone(), &mut secrets, tell);
        let prompt = tokio::select! {
            ended = shared => panic!("it ended: {ended}"),
            prompt = prompts.recv() => prompt.unwrap(),
        };
        let answered = client.device().answer_prompt(prompt.id, vec![token()]);
        answered.await.unwrap();
        let ended = client
            .device()
            .share(vec![token()], policy, &mut secrets, |_| {});
        panic!("it ended: {}", ended.await);
    };
    tokio::select! {
        () = answering => {}
        came = asking.request(&name) => assert_eq!(came.unwrap().expose_secret(), "old"),
    }
}

/// A server with a user who has nothing yet.
struct Served {
    address: String,
    _folder: TempDir,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Served {
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
        Self {
            address,
            _folder: folder,
            _stop: stop,
        }
    }

    async fn log_in(&self) -> Client {
        let homeserver = Homeserver::discover(&self.address).await.unwrap();
        homeserver.log_in(USER, &password()).await.unwrap()
    }
}

/// A user whose identity and one secret are in secret storage.
struct Scene {
    _served: Served,
    address: String,
    owner: Client,
    key: ProvenKey,
    identity: CrossSigningKeys,
}

impl Scene {
    async fn new() -> Self {
        let served = Served::new().await;
        let password = password();
        let owner = served.log_in().await;
        let identity = CrossSigningKeys::generate(&mut UnwrapErr(SysRng));
        let keys = identity.public_keys(USER).unwrap();
        let account = owner.account();
        let upload = account.upload_cross_signing_keys(&keys, Some(&password));
        upload.await.unwrap();
        let new = NewKey::random(None, &mut UnwrapErr(SysRng));
        let snapshot = owner.snapshot().await.unwrap();
        let storage = SecretStorage::new(&snapshot.account_data);
        let set_up = plan::set_up(&storage, &new).unwrap();
        owner.apply(snapshot.clear(&set_up)).await.unwrap();
        let scene = Self {
            address: served.address.clone(),
            _served: served,
            owner,
            key: new.into_key(),
            identity,
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
        let published = snapshot.published_keys();
        let plan = plan::store(&storage, name, secret, &keys, &published, &mut rng).unwrap();
        self.owner.apply(snapshot.clear(&plan)).await.unwrap();
    }

    async fn stored(&self) -> String {
        // Written by another client since.
        let snapshot = self.owner.account().snapshot().await.unwrap();
        let storage = SecretStorage::new(&snapshot.account_data);
        let opened = storage.open(&token(), self.key.key()).unwrap();
        opened.secret.expose_secret().to_owned()
    }

    /// The keys of the devices, as the server shows them.
    async fn shown_devices(&self) -> Vec<String> {
        let shown = self.owner.account().published_keys().await.unwrap();
        let devices = shown.devices();
        let shown = devices.map(|(_, device)| device.as_ref().unwrap().content().to_json());
        shown.collect()
    }

    fn recovery_key(&self) -> String {
        self.key.key().expose_recovery_key().to_string()
    }

    /// Waits until the server shows so many devices with a signature of the identity.
    async fn wait_for_signed_devices(&self, count: usize) {
        let key = self.identity.self_signing_key().public_key();
        let are_signed = async {
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
        };
        let patience = Duration::from_secs(120);
        let waited = tokio::time::timeout(patience, are_signed).await;
        waited.expect("the devices are never signed");
    }
}

/// The IDs of the keys that signed a device, as the server shows it.
fn signers(device: &str) -> Vec<String> {
    let device: serde_json::Value = serde_json::from_str(device).unwrap();
    let signatures = device.pointer(&format!("/signatures/{USER}"));
    let signatures = signatures.and_then(serde_json::Value::as_object);
    signatures.unwrap().keys().cloned().collect()
}

fn password() -> Password {
    Password::new("a password")
}

fn token() -> SecretName {
    SecretName::new("org.example.token").unwrap()
}
