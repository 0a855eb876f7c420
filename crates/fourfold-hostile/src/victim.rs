//! Whom a lie is told to.

use serde_json::Value;

use crate::signer::Signer;

/// What is known of whom a lie is told to. A homeserver knows all of it but the [`Signers`].
#[derive(Clone, Debug, Default)]
pub struct Victim {
    /// The user.
    pub user_id: String,
    /// The device that is lied to.
    pub device_id: String,
    /// A device of the user that the one which is lied to trusts.
    pub trusted: Device,
    /// One more device of the user.
    pub other: Device,
    /// With what the device that is lied to asked for a secret.
    pub request_id: String,
    /// The name of a secret that is asked for.
    pub secret_name: String,
    /// The ID of a key of secret storage that is not the default one.
    pub other_key: String,
    /// What was stored earlier: the type of the event and its content.
    pub kept: (String, Value),
    /// Whose signatures the attacker got hold of.
    pub signers: Signers,
}

/// A device as it is published.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// The ID.
    pub id: String,
    /// The key of its Olm sessions, in base64.
    pub curve25519: String,
    /// The key that it signs with, in base64.
    pub ed25519: String,
}

/// Keys of the user's own that signed what the attacker likes: because a client signs what it is
/// shown, or because the device is the attacker's. With them a lie shows what is left when one
/// defence is gone.
#[derive(Clone, Debug, Default)]
pub struct Signers {
    /// The user's master key.
    pub master: Option<Signer>,
    /// The user's self-signing key.
    pub self_signing: Option<Signer>,
    /// The device that the one which is lied to trusts.
    pub trusted: Option<Signer>,
    /// The other device.
    pub other: Option<Signer>,
}

impl Victim {
    /// A user of the same homeserver who is somebody else.
    #[must_use]
    pub fn another_user(&self) -> String {
        let server = self
            .user_id
            .split_once(':')
            .map_or("", |(_, server)| server);
        format!("@mallory:{server}")
    }
}

/// A key that a lie cannot do without.
///
/// # Panics
///
/// When it is not there.
#[expect(
    clippy::expect_used,
    reason = "a lie that is told with another key than it says shows nothing"
)]
pub(crate) fn needed(signer: &Option<Signer>) -> Signer {
    let signer = signer.as_ref();
    signer.expect("the lie needs a key of the user's").clone()
}
