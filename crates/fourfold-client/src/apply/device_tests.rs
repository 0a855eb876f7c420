//! Signing and removing devices on the wire: an honest server, and servers that lie.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use fourfold::cross_signing::{ConfirmedDevice, CrossSigningKeys};
use fourfold::identity::UserKeys;
use fourfold::judged::Cleared;
use fourfold::rand_core::UnwrapErr;
use fourfold::signed_json::SigningKey;
use fourfold::{Content, Plan, base64, plan};
use serde_json::{Value, json};

use crate::testing::{Reply, Server, USER, once, session};
use crate::{ApplyError, ErrorKind, LocalState, Password, apply};

struct Laptop {
    identity: CrossSigningKeys,
    device_keys: Content,
}

impl Laptop {
    fn new() -> Self {
        let key = SigningKey::from_seed(&[9; 32].into());
        let keys = json!({
            "curve25519:DEVICE": base64::encode([9; 32]),
            "ed25519:DEVICE": key.public_key().to_base64(),
        });
        let mut device_keys = Content::default();
        device_keys.insert("algorithms", &["m.olm.v1.curve25519-aes-sha2"]);
        device_keys.insert("device_id", "DEVICE");
        device_keys.insert("keys", &keys);
        device_keys.insert("user_id", USER);
        let signed = fourfold_hostile::Forger::from_seed([9; 32]).sign_as(
            &device_keys.to_json(),
            USER,
            "ed25519:DEVICE",
        );
        let device_keys = Content::from_json(&signed).unwrap();
        Self {
            identity: CrossSigningKeys::generate(&mut UnwrapErr(getrandom::SysRng)),
            device_keys,
        }
    }

    fn query(&self, device: &Content) -> String {
        let public = self.identity.public_keys(USER).unwrap();
        let mut body = Content::from_json(&public.as_keys_query(USER)).unwrap();
        body.insert("device_keys", &json!({USER: {"DEVICE": device}}));
        body.to_json()
    }

    fn plan(&self) -> Plan {
        let keys = UserKeys::from_keys_query(USER, &self.query(&self.device_keys)).unwrap();
        let device = ConfirmedDevice::own(&self.device_keys).unwrap();
        plan::sign_device(&keys, &device, self.identity.self_signing_key()).unwrap()
    }

    /// Signs itself at a server that does this with what is uploaded before it shows it.
    async fn sign(&self, lie: impl Fn(Value) -> Value + Send + 'static) -> Result<(), ApplyError> {
        let shown = Arc::new(Mutex::new(self.query(&self.device_keys)));
        let identity = self.query(&self.device_keys);
        let server = Server::start({
            let shown = Arc::clone(&shown);
            move |request| match request.target.as_str() {
                "/_matrix/client/v3/keys/signatures/upload" => {
                    let body: Value = serde_json::from_str(&request.body).unwrap();
                    let mut now: Value = serde_json::from_str(&identity).unwrap();
                    now["device_keys"][USER]["DEVICE"] = lie(body[USER]["DEVICE"].clone());
                    *shown.lock().unwrap() = now.to_string();
                    Reply::json(200, r#"{"failures":{}}"#)
                }
                _ => Reply::json(200, shown.lock().unwrap().clone()),
            }
        })
        .await;
        self.apply_at(&server).await
    }

    async fn apply_at(&self, server: &Server) -> Result<(), ApplyError> {
        let (account, _) = server.account(&once());
        let folder = tempfile::tempdir().unwrap();
        let session = session("http://localhost");
        let mut local = LocalState::create(&folder.path().join("state"), &session).unwrap();
        apply(
            &account,
            &mut local,
            Cleared::without_comparing(&self.plan()),
            None,
            |_| {},
        )
        .await
    }
}

/// What the server shows must carry the device's own signature, too.
fn with_own_signature(laptop: &Laptop, mut signed: Value) -> Value {
    let own: Value = serde_json::from_str(&laptop.device_keys.to_json()).unwrap();
    let own = own["signatures"][USER].as_object().unwrap().clone();
    let of_user = signed["signatures"][USER].as_object_mut().unwrap();
    of_user.extend(own);
    signed
}

#[tokio::test]
async fn what_an_honest_server_shows_is_verified() {
    let laptop = Arc::new(Laptop::new());
    let honest = Arc::clone(&laptop);
    laptop
        .sign(move |signed| with_own_signature(&honest, signed))
        .await
        .unwrap();
}

// shows: CLI-10
#[tokio::test]
async fn a_signature_that_is_accepted_and_not_shown_is_noticed() {
    type Lie = fn(&Laptop, Value) -> Value;
    let unsigned: Lie = |laptop, _| serde_json::from_str(&laptop.device_keys.to_json()).unwrap();
    let spoilt: Lie = |laptop, mut signed| {
        let of_user = signed["signatures"][USER].as_object_mut().unwrap();
        for signature in of_user.values_mut() {
            *signature = json!(base64::encode([1; 64]));
        }
        with_own_signature(laptop, signed)
    };
    let other: Lie = |laptop, mut signed| {
        signed["keys"]["ed25519:DEVICE"] = json!(base64::encode([1; 32]));
        with_own_signature(laptop, signed)
    };
    for (lie, is_stale) in [(unsigned, false), (spoilt, true), (other, false)] {
        let laptop = Arc::new(Laptop::new());
        let liar = Arc::clone(&laptop);
        let error = laptop.sign(move |signed| lie(&liar, signed)).await;
        let error = error.unwrap_err();
        let said = error.to_string();
        if is_stale {
            let is_said = matches!(&error, ApplyError::StaleSignature { step: 0, .. });
            assert!(is_said && said.contains("drops the new one"), "{said}");
        } else {
            let is_said = matches!(&error, ApplyError::ReadBack { step: 0, .. });
            assert!(is_said && said.contains("accepted the signature"), "{said}");
        }
    }
}

#[tokio::test]
async fn other_keys_than_were_confirmed_are_not_signed() {
    let (laptop, other) = (Laptop::new(), Laptop::new());
    let query = other.query(&laptop.device_keys);
    let server = Server::start(move |_| Reply::json(200, query.clone())).await;
    let error = laptop.apply_at(&server).await.unwrap_err();
    assert!(matches!(error, ApplyError::Conflict { .. }), "{error}");
    assert!(error.to_string().contains("nothing was signed"));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_refused_signature_is_an_error() {
    let laptop = Laptop::new();
    let query = laptop.query(&laptop.device_keys);
    let failures = json!({"failures": {USER: {"DEVICE": {"errcode": "M_INVALID_SIGNATURE"}}}});
    let server = Server::scripted([
        Reply::json(200, query),
        Reply::json(200, failures.to_string()),
    ])
    .await;
    let error = laptop.apply_at(&server).await.unwrap_err();
    assert!(matches!(error, ApplyError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn a_password_that_is_asked_for_leaves_no_journal() {
    let challenge = r#"{"session":"S","flows":[{"stages":["m.login.password"]}],"params":{}}"#;
    let devices = r#"{"devices":[{"device_id":"OLD"}]}"#;
    let keys = json!({"device_keys": {USER: {}}}).to_string();
    let is_gone = AtomicBool::new(false);
    let server = Server::start(move |request| match request.target.as_str() {
        "/_matrix/client/v3/devices" if is_gone.load(Ordering::SeqCst) => {
            Reply::json(200, r#"{"devices":[]}"#)
        }
        "/_matrix/client/v3/devices" => Reply::json(200, devices),
        "/_matrix/client/v3/keys/query" => Reply::json(200, keys.clone()),
        _ if request.body.contains("canary") => {
            is_gone.store(true, Ordering::SeqCst);
            Reply::json(200, "{}")
        }
        _ => Reply::json(401, challenge),
    })
    .await;
    let (account, _) = server.account(&once());
    let folder = tempfile::tempdir().unwrap();
    let session = session("http://localhost");
    let mut local = LocalState::create(&folder.path().join("state"), &session).unwrap();
    let nothing = UserKeys::from_keys_query(USER, &json!({"device_keys": {USER: {}}}).to_string());
    let plan = plan::remove_device(&nothing.unwrap(), true, "OLD");
    let error = apply(
        &account,
        &mut local,
        Cleared::without_comparing(&plan),
        None,
        |_| {},
    )
    .await;
    let Err(ApplyError::Request { source, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(*source.kind(), ErrorKind::NeedsPassword);
    assert!(local.journal().unwrap().is_none());
    let password = Password::new("canary");
    apply(
        &account,
        &mut local,
        Cleared::without_comparing(&plan),
        Some(&password),
        |_| {},
    )
    .await
    .unwrap();
}
