//! Two clients of one user write the same secret at once, on our own server.
//!
//! Each adds an entry of its own, so a write that the other one overwrote would leave a trace: an
//! entry that was acknowledged and is not there.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use fourfold::judged::Cleared;
use fourfold::plan::{self, WritingKey};
use fourfold::rand_core::UnwrapErr;
use fourfold::{NewKey, ProvenKey, PublishedKeys, Secret, SecretName, SecretState, SecretStorage};
use fourfold_client::{
    Account, ApplyError, Homeserver, LocalState, LoginName, Options, Password, apply,
};
use fourfold_server::{Config, PasswordCost, RateLimits, Server};
use getrandom::SysRng;
use tempfile::TempDir;

const ROUNDS: usize = 1_000;

/// One client: its session, its own local state, and the key whose entry it adds.
struct Writer {
    account: Account,
    state: LocalState,
    key: NewKey,
}

impl Writer {
    async fn log_in(homeserver: &Homeserver, folder: &TempDir, name: &str) -> Self {
        let password = Password::new("a password");
        let session = homeserver
            .log_in("@alice:localhost", &password)
            .device_name(name)
            .session()
            .await
            .unwrap();
        Self {
            state: LocalState::create(&folder.path().join(name), &session).unwrap(),
            account: homeserver.account(session).unwrap(),
            key: NewKey::random(Some(name), &mut UnwrapErr(SysRng)),
        }
    }

    /// Adds an entry under its own key. Whether it was told that it succeeded.
    async fn add(&mut self, name: &SecretName, from: &ProvenKey) -> bool {
        let snapshot = self.account.snapshot().await.unwrap();
        let storage = SecretStorage::new(&snapshot.account_data);
        let plan = plan::add_key(
            &storage,
            name,
            from.key(),
            self.key.key(),
            &snapshot.published_keys(),
            &mut UnwrapErr(SysRng),
        );
        match apply(
            &self.account,
            &mut self.state,
            Cleared::without_comparing(&plan.unwrap()),
            None,
            |_| {},
        )
        .await
        {
            Ok(()) => true,
            Err(ApplyError::Conflict { .. } | ApplyError::ReadBack { .. }) => {
                self.state.abandon().unwrap();
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    async fn carry_out(&mut self, plan: &plan::Plan) {
        apply(
            &self.account,
            &mut self.state,
            Cleared::without_comparing(plan),
            None,
            |_| {},
        )
        .await
        .unwrap();
    }
}

// shows: STO-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_acknowledged_is_lost_in_a_thousand_rounds() {
    let folder = TempDir::new().unwrap();
    let mut config = Config::new("localhost", folder.path().join("server"));
    config.network.bind = ([127, 0, 0, 1], 0).into();
    config.rate_limits = RateLimits::disabled();
    config.accounts.password_cost = PasswordCost::minimal();
    let server = Server::bind(config).await.unwrap();
    let address = format!("http://{}", server.local_addr());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));

    let homeserver = Homeserver::new(&address, &Options::default()).unwrap();
    homeserver
        .register(&alice(), &Password::new("a password"), None)
        .await
        .unwrap();
    let mut left = Writer::log_in(&homeserver, &folder, "left").await;
    let mut right = Writer::log_in(&homeserver, &folder, "right").await;
    let owner = NewKey::random(None, &mut UnwrapErr(SysRng));
    let name = SecretName::new("org.example.shared").unwrap();
    let account_data = left.account.snapshot().await.unwrap().account_data;
    let plan = plan::set_up(&SecretStorage::new(&account_data), &owner).unwrap();
    left.carry_out(&plan).await;
    for writer in [&mut left, &mut right] {
        let account_data = writer.account.snapshot().await.unwrap().account_data;
        let plan = plan::create_key(&SecretStorage::new(&account_data), &writer.key);
        writer.carry_out(&plan).await;
    }
    let keys = [WritingKey::Proven(owner.key())];

    let (mut both, mut one) = (0, 0);
    for round in 0..ROUNDS {
        // The secret begins anew, with the owner's entry alone.
        let snapshot = left.account.snapshot().await.unwrap();
        let plan = plan::store(
            &SecretStorage::new(&snapshot.account_data),
            &name,
            &Secret::new(format!("value {round}")),
            &keys,
            &PublishedKeys::default(),
            &mut UnwrapErr(SysRng),
        );
        left.carry_out(&plan.unwrap()).await;

        let (added_left, added_right) =
            tokio::join!(left.add(&name, owner.key()), right.add(&name, owner.key()));
        let snapshot = right.account.snapshot().await.unwrap();
        let storage = SecretStorage::new(&snapshot.account_data);
        let SecretState::Encrypted(secret) = storage.secret(&name) else {
            panic!("round {round}: the secret is gone")
        };
        assert!(secret.entry(owner.key().id()).is_some(), "round {round}");
        for (added, writer) in [(added_left, &left), (added_right, &right)] {
            let is_there = secret.entry(writer.key.key().id()).is_some();
            assert!(!added || is_there, "round {round}: acknowledged and lost");
        }
        assert!(added_left || added_right, "round {round}: nobody succeeded");
        both += usize::from(added_left && added_right);
        one += usize::from(added_left != added_right);
    }
    assert_eq!(both + one, ROUNDS);
    assert!(one > 0, "the writers never met");
    drop(stop);
    running.await.unwrap();
}

fn alice() -> LoginName {
    LoginName::new("@alice:localhost").unwrap()
}
