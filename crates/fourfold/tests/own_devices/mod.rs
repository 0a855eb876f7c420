//! A user with devices, and what an honest or lying server says about them.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use fourfold::identity::{
    Curve25519PublicKey, LoggedInDevices, PinnedBy, PublishedIdentity, Trust, TrustChange, UserKeys,
};
use fourfold::sharing::Channel;
use fourfold::signed_json::{PublicKey, SigningKey};
use fourfold::{BackupVersion, Content, PublishedKeys, Secret, SecretName, Timestamp, base64};
use fourfold_hostile::Forger;

pub(crate) const USER: &str = "@alice:example.org";

/// The public half of `[7; 32]` as a backup key.
pub(crate) fn backup_json() -> String {
    // What curve25519 makes of it is taken from the crate itself: it is not what is tested here.
    let private = x25519(&[7; 32]);
    format!(
        r#"{{"algorithm":"m.megolm_backup.v1.curve25519-aes-sha2","version":"1","auth_data":{{"public_key":"{private}"}}}}"#
    )
}

fn x25519(private: &[u8; 32]) -> String {
    let secret = Secret::new(base64::encode(private));
    match PublishedKeys::default().judge(&SecretName::backup_key(), &secret) {
        Ok(fourfold::Verdict::NothingToCompare { derived }) => derived,
        other => panic!("{other:?}"),
    }
}

/// Three cross-signing keys, and the devices by ID.
pub(crate) struct Account {
    pub(crate) seed: u8,
    pub(crate) devices: BTreeMap<String, Device>,
}

/// A device as it is, and whether the user's identity signed it.
#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) seed: u8,
    pub(crate) signed: bool,
    pub(crate) dehydrated: bool,
    /// Signs in place of the account's self-signing key.
    pub(crate) signer: Option<u8>,
    /// The seed of its Curve25519 key, when that is not the one of its Ed25519 key.
    pub(crate) session_seed: Option<u8>,
}

impl Account {
    /// Devices `A`, `B`, … all signed.
    pub(crate) fn new(devices: u8) -> Self {
        let devices = (0..devices).map(|number| {
            let device = Device {
                seed: 100 + number,
                signed: true,
                dehydrated: false,
                signer: None,
                session_seed: None,
            };
            (id(number), device)
        });
        Self {
            seed: 1,
            devices: devices.collect(),
        }
    }

    pub(crate) fn master(&self) -> SigningKey {
        key(self.seed)
    }

    pub(crate) fn self_signing(&self) -> SigningKey {
        key(self.seed + 1)
    }

    pub(crate) fn user_signing(&self) -> SigningKey {
        key(self.seed + 2)
    }

    /// The value of one of the four secrets, or of any other.
    pub(crate) fn secret(&self, name: &SecretName) -> Secret {
        let seed = match name.as_str() {
            "m.cross_signing.master" => [self.seed; 32],
            "m.cross_signing.self_signing" => [self.seed + 1; 32],
            "m.cross_signing.user_signing" => [self.seed + 2; 32],
            "m.megolm_backup.v1" => [7; 32],
            _ => return Secret::new("s3cret"),
        };
        Secret::new(base64::encode(seed))
    }

    /// The body of an answer to `/keys/query`.
    pub(crate) fn keys_query(&self) -> String {
        let mut devices = Content::default();
        for (id, device) in &self.devices {
            devices.insert(id, &self.device_keys(id, device));
        }
        let mut listed = Content::default();
        listed.insert(USER, &devices);
        let mut body = Content::default();
        body.insert("device_keys", &listed);
        for (member, usage, key) in [
            ("master_keys", "master", self.master()),
            ("self_signing_keys", "self_signing", self.self_signing()),
            ("user_signing_keys", "user_signing", self.user_signing()),
        ] {
            let mut content = cross_signing_key(usage, &key);
            if usage != "master" {
                forge(self.seed, &mut content);
            }
            let mut of_user = Content::default();
            of_user.insert(USER, &content);
            body.insert(member, &of_user);
        }
        body.to_json()
    }

    pub(crate) fn device_keys(&self, id: &str, device: &Device) -> Content {
        let signing = key(device.seed);
        let json = format!(
            r#"{{"user_id":"{USER}","device_id":"{id}","algorithms":["m.olm.v1.curve25519-aes-sha2"],"keys":{{"ed25519:{id}":"{}","curve25519:{id}":"{}"}},"dehydrated":{}}}"#,
            signing.public_key(),
            device.curve25519(),
            device.dehydrated,
        );
        let mut content = Content::from_json(&json).unwrap();
        forge_as(device.seed, &mut content, &format!("ed25519:{id}"));
        if device.signed {
            forge(device.signer.unwrap_or(self.seed + 1), &mut content);
        }
        content
    }

    pub(crate) fn keys(&self) -> UserKeys {
        UserKeys::from_keys_query(USER, &self.keys_query()).unwrap()
    }

    pub(crate) fn published_keys(&self) -> PublishedKeys {
        let identity = PublishedIdentity::from_keys_query(USER, &self.keys_query()).unwrap();
        let backup = BackupVersion::from_json(&backup_json()).unwrap();
        PublishedKeys {
            identity: Some(identity),
            backup: Some(backup),
        }
    }

    /// What a device knows that verified the identity and asked the server once.
    pub(crate) fn trust(&self, device_id: &str) -> Trust {
        let mut trust = Trust::new(USER, device_id);
        trust.pin(self.master().public_key(), PinnedBy::Verified);
        observe(&mut trust, &self.keys(), at(0));
        trust
    }

    /// How an encrypted event of a device comes.
    pub(crate) fn olm(&self, device_id: &str) -> Channel {
        self.devices[device_id].olm()
    }
}

impl Device {
    pub(crate) fn curve25519(&self) -> Curve25519PublicKey {
        static KNOWN: Table<Curve25519PublicKey> = [const { OnceLock::new() }; 256];
        let seed = self.session_seed.unwrap_or(self.seed);
        let make = || Curve25519PublicKey::from_bytes([seed; 32]).unwrap();
        *KNOWN[usize::from(seed)].get_or_init(make)
    }

    pub(crate) fn ed25519(&self) -> PublicKey {
        static KNOWN: Table<PublicKey> = [const { OnceLock::new() }; 256];
        let make = || key(self.seed).public_key();
        *KNOWN[usize::from(self.seed)].get_or_init(make)
    }

    pub(crate) fn olm(&self) -> Channel {
        Channel::Olm {
            sender: USER.to_owned(),
            curve25519: self.curve25519(),
            ed25519: self.ed25519(),
        }
    }
}

/// The server is asked, and says that every device with keys is logged in.
pub(crate) fn observe(trust: &mut Trust, keys: &UserKeys, now: Timestamp) -> Vec<TrustChange> {
    trust.observe(keys, Some(&all_of(keys)), now)
}

/// Every device with keys.
pub(crate) fn all_of(keys: &UserKeys) -> LoggedInDevices {
    keys.devices().map(|(id, _)| id).collect()
}

pub(crate) fn id(number: u8) -> String {
    char::from(b'A' + number).to_string()
}

/// Signs any object with the key of a seed: the library signs only what it built.
pub(crate) fn forge(seed: u8, content: &mut Content) {
    forge_as(seed, content, &key(seed).public_key().key_id());
}

pub(crate) fn forge_as(seed: u8, content: &mut Content, key_id: &str) {
    let signed = Forger::from_seed([seed; 32]).sign_as(&content.to_json(), USER, key_id);
    *content = Content::from_json(&signed).unwrap();
}

pub(crate) fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32].into())
}

/// By seed, what takes long to compute.
type Table<T> = [OnceLock<T>; 256];

/// A moment in seconds.
pub(crate) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn cross_signing_key(usage: &str, key: &SigningKey) -> Content {
    let key = key.public_key();
    let json = format!(
        r#"{{"user_id":"{USER}","usage":["{usage}"],"keys":{{"{}":"{key}"}}}}"#,
        key.key_id(),
    );
    Content::from_json(&json).unwrap()
}
