//! Identities: what is published of them, what is kept, and which devices are signed.

use fourfold_hostile::Forger;

use super::*;
use crate::identity::{CrossSigningKeyError, DeviceKeysError, OwnDeviceMismatch, UserKeys};
use crate::signed_json::{self, PublicKey};
use crate::testing::{rng, rng_from};
use crate::{Content, PublishedIdentity, SecretValueError};

const USER: &str = "@alice:example.org";

fn identity() -> CrossSigningKeys {
    CrossSigningKeys::generate(&mut rng())
}

fn published(keys: &CrossSigningKeys) -> PublishedIdentity {
    PublishedIdentity::of(USER, &keys.public_keys(USER).unwrap())
}

/// What the server publishes when the user has no device with keys.
fn user_keys(identity: PublishedIdentity) -> UserKeys {
    shown(&[]).with_identity(identity)
}

/// What the server shows of devices, under these IDs.
fn shown(devices: &[(&str, &Content)]) -> UserKeys {
    let mut listed = Content::default();
    for (id, device) in devices {
        listed.insert(*id, *device);
    }
    let mut of_users = Content::default();
    of_users.insert(USER, &listed);
    let mut body = Content::default();
    body.insert("device_keys", &of_users);
    UserKeys::from_keys_query(USER, &body.to_json()).unwrap()
}

fn published_keys(keys: &CrossSigningKeys) -> PublishedKeys {
    PublishedKeys {
        identity: Some(published(keys)),
        backup: None,
    }
}

/// The keys of a device, signed by itself.
fn device(seed: u8, id: &str) -> Content {
    let key = SigningKey::from_seed(&[seed; 32].into());
    let mut keys = Content::default();
    keys.insert(format!("curve25519:{id}"), &base64::encode([seed; 32]));
    keys.insert(format!("ed25519:{id}"), &key.public_key().to_base64());
    let mut content = Content::default();
    content.insert("algorithms", &["m.olm.v1.curve25519-aes-sha2"]);
    content.insert("device_id", id);
    content.insert("keys", &keys);
    content.insert("user_id", USER);
    signed_by_itself(content, seed, id)
}

fn signed_by_itself(content: Content, seed: u8, id: &str) -> Content {
    let forger = Forger::from_seed([seed; 32]);
    let signed = forger.sign_as(&content.to_json(), USER, &format!("ed25519:{id}"));
    Content::from_json(&signed).unwrap()
}

fn fingerprint(seed: u8) -> PublicKey {
    SigningKey::from_seed(&[seed; 32].into()).public_key()
}

#[test]
fn all_three_keys_are_published_and_hang_on_the_master_key() {
    let keys = identity();
    let published = published(&keys);
    assert_eq!(
        published.master_key().unwrap(),
        keys.master_key().public_key()
    );
    assert_eq!(
        published.self_signing_key().unwrap(),
        keys.self_signing_key().public_key()
    );
    assert_eq!(
        published.user_signing_key().unwrap(),
        keys.user_signing_key().public_key()
    );
    let public = keys.public_keys(USER).unwrap();
    assert!(public.master_key().object("signatures").is_none());
    assert_eq!(
        public.self_signing_key().raw("usage"),
        Some(r#"["self_signing"]"#)
    );
}

#[test]
fn a_device_signs_the_master_key() {
    use ed25519_dalek::Signer as _;
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    let public = identity()
        .public_keys_signed_by(USER, |object| {
            signed_json::sign_with(object, USER, "ed25519:LAPTOP", |message| {
                key.sign(message.as_bytes()).to_bytes()
            })
        })
        .unwrap();
    fingerprint(9)
        .verify_as(public.master_key(), USER, "ed25519:LAPTOP")
        .unwrap();
}

#[test]
fn two_identities_differ_in_every_key() {
    let (one, other) = (identity(), CrossSigningKeys::generate(&mut rng_from(100)));
    let mut seeds: Vec<_> = one.secrets().into_iter().chain(other.secrets()).collect();
    seeds.sort_by(|left, right| left.1.expose_secret().cmp(right.1.expose_secret()));
    seeds.dedup_by(|left, right| left.1.is_same(&right.1));
    assert_eq!(seeds.len(), 6);
}

#[test]
fn the_seeds_give_the_same_identity_again() {
    let keys = identity();
    let published_keys = published_keys(&keys);
    let mut known = KnownKeys::default();
    assert_eq!(known.missing().len(), 3);
    for (name, secret) in keys.secrets() {
        let verdict = known.learn(&name, &secret, &published_keys).unwrap();
        assert!(matches!(verdict, Verdict::Matches { .. }), "{name}");
        assert_eq!(secret.expose_secret().len(), 43);
    }
    assert!(known.missing().is_empty());
    let again = known.complete().unwrap();
    assert_eq!(
        again.public_keys(USER).unwrap().as_keys_query(USER),
        keys.public_keys(USER).unwrap().as_keys_query(USER)
    );
}

#[test]
fn a_part_of_the_keys_does_what_it_can() {
    let keys = identity();
    let [_, (name, secret), _] = keys.secrets();
    let mut known = KnownKeys::default();
    known.learn(&name, &secret, &published_keys(&keys)).unwrap();
    assert_eq!(
        known.missing(),
        [SecretName::master_key(), SecretName::user_signing_key()]
    );
    let [(kept, seed)] = known.secrets().try_into().unwrap();
    assert!(kept == name && seed.is_same(&secret));
    assert!(known.master_key().is_none() && known.user_signing_key().is_none());
    let laptop = device(9, "LAPTOP");
    let laptop = ConfirmedDevice::own(&laptop).unwrap();
    let key = known.self_signing_key().unwrap();
    laptop.sign(key, &user_keys(published(&keys))).unwrap();
    assert!(known.complete().is_none());
}

#[test]
fn each_key_that_is_known_is_handed_out() {
    let (keys, known) = (identity(), || KnownKeys::from(identity()));
    let public = |key: Option<&SigningKey>| key.map(SigningKey::public_key);
    assert_eq!(
        public(known().master_key()),
        public(Some(keys.master_key()))
    );
    let self_signing = public(Some(keys.self_signing_key()));
    assert_eq!(public(known().self_signing_key()), self_signing);
    let taken = known().into_self_signing_key();
    assert_eq!(public(taken.as_ref()), self_signing);
    assert_eq!(
        public(known().user_signing_key()),
        public(Some(keys.user_signing_key()))
    );
    assert!(KnownKeys::default().into_self_signing_key().is_none());
}

// shows: STO-08
#[test]
fn seeds_of_another_identity_are_not_learnt() {
    let (keys, other) = (identity(), CrossSigningKeys::generate(&mut rng_from(100)));
    let mut known = KnownKeys::default();
    for (name, secret) in other.secrets() {
        let error = known
            .learn(&name, &secret, &published_keys(&keys))
            .unwrap_err();
        assert!(matches!(
            error,
            LearnError::Value(SecretValueError::Mismatch { .. })
        ));
    }
    let backup = SecretName::backup_key();
    let [(_, seed), ..] = keys.secrets();
    assert_eq!(
        known.learn(&backup, &seed, &PublishedKeys::default()),
        Err(LearnError::OtherName)
    );
    assert_eq!(known.missing().len(), 3);
    // Nothing is published: the keys are taken, and the verdict says that nothing vouches for them.
    let [(name, seed), ..] = other.secrets();
    let verdict = known
        .learn(&name, &seed, &PublishedKeys::default())
        .unwrap();
    assert!(matches!(verdict, Verdict::NothingToCompare { .. }));
}

#[test]
fn a_signed_device_verifies_and_keeps_nothing_that_is_not_its_own() {
    let (keys, local) = (identity(), device(9, "LAPTOP"));
    let mut served = local.clone();
    let mut unsigned = Content::default();
    unsigned.insert("device_display_name", "evil \u{202e}");
    served.insert("unsigned", &unsigned);
    let laptop = ConfirmedDevice::own(&local).unwrap();
    let shown = |content| shown(&[("LAPTOP", content)]).with_identity(published(&keys));
    laptop.check_served(&shown(&served)).unwrap();
    assert_eq!((laptop.user_id(), laptop.device_id()), (USER, "LAPTOP"));
    let identity = published(&keys);
    assert_eq!(
        laptop.check_signed(&shown(&served)),
        Err(SignDeviceError::Signature(SignatureError::Missing))
    );
    let signed = laptop
        .sign(keys.self_signing_key(), &user_keys(identity.clone()))
        .unwrap()
        .into_content();
    assert!(signed.raw("unsigned").is_none());
    // What is uploaded is only the signature; the server keeps the one of the device itself.
    assert!(laptop.check_signed(&shown(&signed)).is_err());
    let merged = signed_by_itself(signed.clone(), 9, "LAPTOP");
    laptop.check_signed(&shown(&merged)).unwrap();
    assert_eq!(
        signed
            .raw("signatures")
            .unwrap()
            .matches("ed25519:")
            .count(),
        1
    );
}

#[test]
fn what_the_server_shows_is_signed_only_when_the_device_has_it() {
    let local = device(9, "LAPTOP");
    let laptop = ConfirmedDevice::own(&local).unwrap();
    let refused = |content: &Content| laptop.check_served(&shown(&[("LAPTOP", content)]));
    refused(&local).unwrap();
    let differs = |member| Err(NotConfirmed::Differs(OwnDeviceMismatch { member }));
    assert_eq!(refused(&device(8, "LAPTOP")), differs("keys"));
    assert_eq!(
        laptop.check_served(&shown(&[])),
        Err(NotConfirmed::NotShown)
    );
    // Properly signed by the device itself, and yet not what it has here.
    let resigned = |member: &str, value: &str| {
        let mut served = local.clone();
        served.remove("signatures");
        let value: serde_json::Value = serde_json::from_str(value).unwrap();
        served.insert(member, &value);
        signed_by_itself(served, 9, "LAPTOP")
    };
    let other = resigned("algorithms", r#"["m.megolm.v1"]"#);
    assert_eq!(refused(&other), differs("algorithms"));
    let mut more = local.object("keys").unwrap().unwrap();
    more.insert("ed25519:MORE", &fingerprint(3).to_base64());
    let more = resigned("keys", &more.to_json());
    assert_eq!(refused(&more), differs("keys"));
    // What is not what device keys look like at all.
    for (member, value) in [
        ("user_id", r#""@mallory:example.org""#),
        ("device_id", r#""PHONE""#),
        ("keys", r#"{"ed25519:LAPTOP":"AAAA"}"#),
    ] {
        let error = refused(&resigned(member, value)).unwrap_err();
        assert!(matches!(error, NotConfirmed::Keys(_)), "{member}");
    }
}

#[test]
fn another_device_is_signed_by_its_fingerprint() {
    let phone = device(8, "PHONE");
    let signed = |served: &Content, key| {
        let keys = shown(&[("PHONE", served)]);
        ConfirmedDevice::with_fingerprint(&keys, "PHONE", &fingerprint(key))
    };
    signed(&phone, 8).unwrap();
    assert_eq!(
        signed(&phone, 9).unwrap_err(),
        NotConfirmed::OtherFingerprint
    );
    // Keys of another device, or keys that the device did not sign itself.
    assert_eq!(
        signed(&device(8, "TV"), 8).unwrap_err(),
        NotConfirmed::Keys(DeviceKeysError::OtherDevice)
    );
    let mut forged = phone.clone();
    let mut keys = forged.object("keys").unwrap().unwrap();
    keys.insert("curve25519:PHONE", &base64::encode([1; 32]));
    forged.insert("keys", &keys);
    assert_eq!(
        signed(&forged, 8).unwrap_err(),
        NotConfirmed::Keys(DeviceKeysError::Signature(SignatureError::Bad))
    );
}

#[test]
fn only_the_published_self_signing_key_signs() {
    let (keys, other) = (identity(), CrossSigningKeys::generate(&mut rng_from(100)));
    let laptop = device(9, "LAPTOP");
    let laptop = ConfirmedDevice::own(&laptop).unwrap();
    for key in [
        other.self_signing_key(),
        keys.master_key(),
        keys.user_signing_key(),
    ] {
        assert_eq!(
            laptop.sign(key, &user_keys(published(&keys))).unwrap_err(),
            SignDeviceError::OtherKey
        );
    }
    // A self-signing key that another master key signed.
    let mut body = Content::default();
    for (member, public) in [
        ("master_keys", keys.public_keys(USER).unwrap().master_key()),
        (
            "self_signing_keys",
            other.public_keys(USER).unwrap().self_signing_key(),
        ),
    ] {
        let mut of_users = Content::default();
        of_users.insert(USER, public);
        body.insert(member, &of_users);
    }
    let mixed = PublishedIdentity::from_keys_query(USER, &body.to_json()).unwrap();
    assert_eq!(
        laptop
            .sign(other.self_signing_key(), &user_keys(mixed))
            .unwrap_err(),
        SignDeviceError::Identity(CrossSigningKeyError::Signature(SignatureError::Missing))
    );
}

// shows: SHR-07
#[test]
fn the_id_of_a_device_is_a_key_in_each_way_to_write_it_and_no_other_key() {
    let (key, other) = (fingerprint(9), fingerprint(8));
    let text = key.to_base64();
    let url_safe = text.replace('+', "-").replace('/', "_");
    for id in [
        text.clone(),
        format!("{text}="),
        format!(" {text}"),
        url_safe,
    ] {
        assert!(key.is_device_id(&id), "{id}");
        assert!(!other.is_device_id(&id), "{id}");
    }
    assert!(!key.is_device_id("LAPTOP"));
}

#[test]
fn a_device_named_like_a_key_is_not_signed() {
    let keys = identity();
    let padded = |key: &SigningKey| key.public_key().to_base64() + "=";
    for id in [
        keys.master_key().public_key().to_base64(),
        padded(keys.master_key()),
        keys.self_signing_key().public_key().to_base64(),
        padded(keys.user_signing_key()),
        keys.master_key()
            .public_key()
            .to_base64()
            .replace('+', "-")
            .replace('/', "_"),
    ] {
        let named = device(9, &id);
        let listed = shown(&[(&id, &named)]).with_identity(published(&keys));
        let named = ConfirmedDevice::own(&named).unwrap();
        let alone = user_keys(published(&keys));
        let refused = named.sign(keys.self_signing_key(), &alone).unwrap_err();
        assert_eq!(refused, SignDeviceError::NamedLikeAKey, "{id}");
        // While there is such a device, no other is signed either.
        let laptop = ConfirmedDevice::own(&device(9, "LAPTOP")).unwrap();
        let refused = laptop.sign(keys.self_signing_key(), &listed).unwrap_err();
        assert_eq!(refused, SignDeviceError::NamedLikeAKey, "{id}");
    }
}

#[test]
fn a_dehydrated_device_is_not_signed() {
    let keys = identity();
    let mut content = device(9, "HALL");
    content.remove("signatures");
    content.insert("dehydrated", &true);
    let content = signed_by_itself(content, 9, "HALL");
    let hall = ConfirmedDevice::own(&content).unwrap();
    let published = user_keys(published(&keys));
    let refused = hall.sign(keys.self_signing_key(), &published).unwrap_err();
    assert_eq!(refused, SignDeviceError::Dehydrated);
}

#[test]
fn debug_shows_public_keys_only() {
    let keys = identity();
    let seeds = keys.secrets();
    let known = |keys: CrossSigningKeys| KnownKeys::from(keys);
    let shown = format!("{keys:?} {keys:#?}");
    let shown = format!("{shown} {:?}", known(keys));
    for (name, seed) in seeds {
        assert!(!shown.contains(seed.expose_secret()), "{name}");
    }
}

#[test]
fn a_device_on_which_nobody_is_logged_in_is_not_signed() {
    use crate::identity::{DeviceTrust, LoggedInDevices};
    let laptop = device(3, "LAPTOP");
    let keys = shown(&[("LAPTOP", &laptop)]);
    let judged = |logged_in: &[&str]| {
        let logged_in = LoggedInDevices::from_iter(logged_in.iter().copied());
        let trust = DeviceTrust::at_first_sight("LAPTOP", &keys, Some(&logged_in));
        ConfirmedDevice::check_logged_in(trust)
    };
    assert_eq!(judged(&["LAPTOP"]), Ok(()));
    assert_eq!(judged(&["PHONE"]), Err(SignDeviceError::NotLoggedIn));
}
