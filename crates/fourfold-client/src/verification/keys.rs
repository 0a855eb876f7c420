//! The keys that a verification is about, fixed when it begins.

use fourfold::signed_json::PublicKey;

/// This side of a verification.
#[derive(Clone, Debug)]
pub(crate) struct OwnSide {
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) ed25519: PublicKey,
    /// The master key of the user, if this device trusts it and can vouch for it.
    pub(crate) trusted_master_key: Option<PublicKey>,
}

/// The other side, as it was known when the verification began. What the server says later changes
/// nothing.
#[derive(Clone, Debug)]
pub(crate) struct OtherSide {
    pub(crate) device_id: String,
    pub(crate) ed25519: PublicKey,
    /// The master key that the server publishes.
    pub(crate) master_key: Option<PublicKey>,
}

/// Returns `true` if the ID of a device is also the public key of another key, so that `ed25519:ID`
/// would name two keys.
pub(crate) fn is_ambiguous(device_id: &str, keys: &[PublicKey]) -> bool {
    keys.iter().any(|key| key.is_device_id(device_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: SHR-07
    #[test]
    fn a_device_that_is_named_like_a_key_is_ambiguous() {
        let text = "JeaT6F+mrkF6kNJa7uE+ELcEVSOjvtwvLDoECeQ8KJI";
        let keys = [PublicKey::from_base64(text).unwrap()];
        let url_safe = text.replace('+', "-");
        for device_id in [text.to_owned(), format!("{text}="), url_safe] {
            assert!(is_ambiguous(&device_id, &keys), "{device_id}");
        }
        for device_id in ["DEVICE", "", "JeaT"] {
            assert!(!is_ambiguous(device_id, &keys), "{device_id}");
        }
    }
}
