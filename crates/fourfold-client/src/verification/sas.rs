//! The short authentication string: key agreement, what both sides show, and MACs of keys
//! ([SAS](https://spec.matrix.org/v1.19/client-server-api/#short-authentication-string-sas-verification)).

use std::collections::BTreeMap;

use fourfold::signed_json::PublicKey;
use fourfold::{Content, base64, canonical_json};
use sha2::{Digest as _, Sha256};
use vodozemac::sas::{EstablishedSas, Mac};

use super::keys::{OtherSide, OwnSide};
use super::{CancelCode, Emoji};

/// The short authentication string that both devices show and a person compares: if it differs,
/// somebody intercepts the verification.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShortString {
    /// Seven emoji.
    pub emoji: [Emoji; 7],
    /// Three numbers of four digits, for those who have no emoji.
    pub decimals: [u16; 3],
}

/// The commitment of the accepting side, made before it knows the key of the other: unpadded
/// base64.
/// `None` when the start event has no canonical JSON.
pub(super) fn commitment(public_key: &str, start: &Content) -> Option<String> {
    let start = canonical_json::from_json(&start.to_json()).ok()?;
    let hash = Sha256::new()
        .chain_update(public_key)
        .chain_update(start)
        .finalize();
    Some(base64::encode(hash))
}

/// An agreement of which both sides know the same secret.
pub(super) struct Agreed {
    sas: EstablishedSas,
    /// Whether this side sent the start event.
    started: bool,
    transaction_id: String,
}

impl Agreed {
    pub(super) fn new(sas: EstablishedSas, started: bool, transaction_id: &str) -> Self {
        Self {
            sas,
            started,
            transaction_id: transaction_id.to_owned(),
        }
    }

    pub(super) fn short_string(&self, own: &OwnSide, other: &OtherSide) -> ShortString {
        let ours = format!(
            "{}|{}|{}",
            own.user_id,
            own.device_id,
            self.sas.our_public_key().to_base64()
        );
        let theirs = format!(
            "{}|{}|{}",
            own.user_id,
            other.device_id,
            self.sas.their_public_key().to_base64()
        );
        let (first, second) = if self.started {
            (ours, theirs)
        } else {
            (theirs, ours)
        };
        let info = format!(
            "MATRIX_KEY_VERIFICATION_SAS|{first}|{second}|{}",
            self.transaction_id
        );
        let bytes = self.sas.bytes(&info);
        let (first, second, third) = bytes.decimals();
        ShortString {
            emoji: bytes.emoji_indices().map(Emoji::of),
            decimals: [first, second, third],
        }
    }

    /// The members `mac` and `keys` with which this side vouches for its keys.
    pub(super) fn macs(&self, own: &OwnSide, other: &OtherSide) -> (Content, String) {
        let info = self.info(&own.user_id, &own.device_id, &other.device_id);
        let mut keys = BTreeMap::from([(
            format!("ed25519:{}", own.device_id),
            own.ed25519.to_base64(),
        )]);
        if let Some(master_key) = own.trusted_master_key {
            keys.insert(master_key.key_id(), master_key.to_base64());
        }
        let mut macs = Content::default();
        for (id, key) in &keys {
            let mac = self.sas.calculate_mac(key, &format!("{info}{id}"));
            macs.insert(id, &mac.to_base64());
        }
        let ids: Vec<_> = keys.into_keys().collect();
        let of_ids = self
            .sas
            .calculate_mac(&ids.join(","), &format!("{info}KEY_IDS"));
        (macs, of_ids.to_base64())
    }

    /// Checks how the other side vouches for its keys. It must be for the key of its device that was
    /// fixed at the beginning. Gives back the master key if it vouches for that one too, which must
    /// be the one that was fixed; other keys are no business of a verification between devices of
    /// one user.
    pub(super) fn check_macs(
        &self,
        own: &OwnSide,
        other: &OtherSide,
        macs: &Content,
        of_ids: &str,
    ) -> Result<Option<PublicKey>, CancelCode> {
        let info = self.info(&own.user_id, &other.device_id, &own.device_id);
        // In the order of the IDs, as a `Content` has its members.
        let ids: Vec<_> = macs.members().collect();
        self.check(&ids.join(","), &format!("{info}KEY_IDS"), of_ids)?;
        let device_key_id = format!("ed25519:{}", other.device_id);
        let (mut has_device_key, mut master_key) = (false, None);
        for id in ids {
            let mac = macs
                .get::<String>(id)
                .and_then(Result::ok)
                .ok_or(CancelCode::InvalidMessage)?;
            let key = if id == device_key_id {
                has_device_key = true;
                other.ed25519
            } else if let Some(key) = other.master_key.filter(|key| key.key_id() == id) {
                master_key = Some(key);
                key
            } else if is_public_key(id) {
                // It may be the master key of another identity than the one that is shown here.
                return Err(CancelCode::KeyMismatch);
            } else {
                // The specification says to omit what is unknown.
                continue;
            };
            self.check(&key.to_base64(), &format!("{info}{id}"), &mac)?;
        }
        if has_device_key {
            Ok(master_key)
        } else {
            Err(CancelCode::KeyMismatch)
        }
    }

    fn check(&self, text: &str, info: &str, mac: &str) -> Result<(), CancelCode> {
        // The whole MAC: a shorter one would be easier to guess.
        let mac = base64::decode_array::<32>(mac).map_err(|_| CancelCode::InvalidMessage)?;
        self.sas
            .verify_mac(text, info, &Mac::from_slice(&*mac))
            .map_err(|_| CancelCode::KeyMismatch)
    }

    /// The info string that the MACs of one side are bound to.
    fn info(&self, user_id: &str, from: &str, to: &str) -> String {
        format!(
            "MATRIX_KEY_VERIFICATION_MAC{user_id}{from}{user_id}{to}{}",
            self.transaction_id
        )
    }
}

impl std::fmt::Debug for Agreed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agreed")
            .field("transaction_id", &self.transaction_id)
            .finish_non_exhaustive()
    }
}

/// Whether the ID of a key is the key itself, as that of a cross-signing key is.
fn is_public_key(id: &str) -> bool {
    let key = id.strip_prefix("ed25519:");
    key.is_some_and(|key| PublicKey::from_base64(key).is_ok())
}

#[cfg(test)]
mod tests {
    use fourfold::signed_json::SigningKey;
    use vodozemac::sas::Sas;

    use super::*;

    const USER: &str = "@alice:example.org";

    fn key(seed: u8) -> PublicKey {
        SigningKey::from_seed(&[seed; 32].into()).public_key()
    }

    fn own(device_id: &str, seed: u8) -> OwnSide {
        OwnSide {
            user_id: USER.to_owned(),
            device_id: device_id.to_owned(),
            ed25519: key(seed),
            trusted_master_key: None,
        }
    }

    fn other(device_id: &str, seed: u8) -> OtherSide {
        OtherSide {
            device_id: device_id.to_owned(),
            ed25519: key(seed),
            master_key: Some(key(9)),
        }
    }

    /// What the new device makes of MACs with one more, of a key with this ID.
    fn check_with(id: &str) -> Result<Option<PublicKey>, CancelCode> {
        let (old, new) = (Sas::new(), Sas::new());
        let (old_key, new_key) = (old.public_key(), new.public_key());
        let old = old.diffie_hellman(new_key).unwrap();
        let new = new.diffie_hellman(old_key).unwrap();
        let (old, new) = (Agreed::new(old, true, "T"), Agreed::new(new, false, "T"));
        let (mut macs, _) = old.macs(&own("OLD", 1), &other("NEW", 2));
        let info = old.info(USER, "OLD", "NEW");
        let mac = old.sas.calculate_mac("what it is", &format!("{info}{id}"));
        macs.insert(id, &mac.to_base64());
        let ids: Vec<_> = macs.members().collect();
        let of_ids = old
            .sas
            .calculate_mac(&ids.join(","), &format!("{info}KEY_IDS"));
        new.check_macs(&own("NEW", 2), &other("OLD", 1), &macs, &of_ids.to_base64())
    }

    #[test]
    fn a_key_that_nobody_knows_is_left_out_and_another_identity_is_not() {
        for id in ["ed25519:SOMEKEY", "curve25519:OLD", "org.example:key"] {
            assert_eq!(check_with(id), Ok(None), "{id}");
        }
        let id = key(7).key_id();
        assert_eq!(check_with(&id), Err(CancelCode::KeyMismatch));
    }
}
