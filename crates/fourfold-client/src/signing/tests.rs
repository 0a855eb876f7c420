//! Signing a device on the wire: an honest server, and servers that lie.

use std::sync::{Arc, Mutex};

use fourfold::{
    base64,
    cross_signing::{CrossSigningKeys, NotConfirmed},
    rand_core::UnwrapErr,
    signed_json::SignatureError,
};
use serde_json::{Value, json};

use super::*;
use crate::testing::{Reply, Server, USER, once};

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
        key.sign_as(&mut device_keys, USER, "ed25519:DEVICE")
            .unwrap();
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

    /// Signs itself at a server that does this with what is uploaded before it shows it.
    async fn sign(
        &self,
        lie: impl Fn(Value) -> Value + Send + 'static,
    ) -> Result<(), SigningError> {
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
        let (account, _) = server.account(&once());
        let published = account.published_keys().await?;
        let served = published.device("DEVICE").unwrap();
        let device = ConfirmedDevice::own(&self.device_keys, served).unwrap();
        let key = self.identity.self_signing_key();
        account.sign_device(&device, key, &published).await
    }
}

#[tokio::test]
async fn what_an_honest_server_shows_is_verified() {
    Laptop::new().sign(|signed| signed).await.unwrap();
}

#[tokio::test]
async fn a_signature_that_is_accepted_and_not_shown_is_noticed() {
    let laptop = Laptop::new();
    let unsigned = |mut signed: Value| {
        signed["signatures"] = json!({});
        signed
    };
    let error = laptop.sign(unsigned).await.unwrap_err();
    assert!(matches!(
        error,
        SigningError::NotAsSigned(SignDeviceError::Signature(SignatureError::Missing))
    ));
    let spoilt = |mut signed: Value| {
        let of_user = signed["signatures"][USER].as_object_mut().unwrap();
        for signature in of_user.values_mut() {
            *signature = json!(base64::encode([1; 64]));
        }
        signed
    };
    let error = laptop.sign(spoilt).await.unwrap_err();
    assert!(matches!(
        error,
        SigningError::NotAsSigned(SignDeviceError::Signature(SignatureError::Bad))
    ));
    let other = |mut signed: Value| {
        signed["keys"]["ed25519:DEVICE"] = json!(base64::encode([1; 32]));
        signed
    };
    let error = laptop.sign(other).await.unwrap_err();
    assert!(matches!(
        error,
        SigningError::NotAsSigned(SignDeviceError::Device(NotConfirmed::Differs(mismatch)))
            if mismatch.member == "keys"
    ));
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
    let (account, _) = server.account(&once());
    let published = account.published_keys().await.unwrap();
    let device = ConfirmedDevice::own(&laptop.device_keys, &laptop.device_keys).unwrap();
    let key = laptop.identity.self_signing_key();
    let error = account.sign_device(&device, key, &published).await;
    assert!(matches!(error.unwrap_err(), SigningError::Refused(_)));
}

#[test]
fn only_the_keys_of_the_user_are_read() {
    let body = json!({"device_keys": {USER: {"A": {}, "X": 7}, "@bob:example.org": {"B": {}}}});
    let keys = PublishedKeys::from_keys_query(USER, &body.to_string()).unwrap();
    assert_eq!(keys.devices().map(|(id, _)| id).collect::<Vec<_>>(), ["A"]);
    let keys = PublishedKeys::from_keys_query(USER, "{}").unwrap();
    assert!(keys.device("A").is_none());
    for malformed in ["[]", r#"{"device_keys":7}"#, ""] {
        assert!(PublishedKeys::from_keys_query(USER, malformed).is_err());
    }
}
