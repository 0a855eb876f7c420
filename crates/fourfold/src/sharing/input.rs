//! What happened, as the driver tells the machine.

use crate::identity::Curve25519PublicKey;
use crate::sharing::{PromptId, RequestId, SendId, ShareId};
use crate::signed_json::PublicKey;
use crate::{Secret, SecretName};

/// What happened.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "keys are large, and it is moved, not kept"
)]
#[non_exhaustive]
pub enum Input {
    /// The user wants a secret from the other devices.
    Ask {
        /// Which.
        name: SecretName,
        /// A fresh one, from [`RequestId::random`].
        request_id: RequestId,
        /// Whom to ask.
        recipients: Recipients,
    },
    /// The user no longer wants it.
    Abort {
        /// The request.
        request_id: RequestId,
    },
    /// The user wants to send a secret to all verified devices, such as a backup key that was just
    /// rotated (MSC4385).
    Push {
        /// Which.
        name: SecretName,
        /// A fresh one, from [`RequestId::random`]; it only names the push here.
        push_id: RequestId,
    },
    /// A to-device event arrived: every event whose type begins with `m.secret.` or
    /// `io.element.msc4385.secret.`, and no other.
    Event(ToDeviceEvent),
    /// The devices were queried, marked stale or verified: [`Trust`](crate::identity::Trust)
    /// changed.
    TrustChanged,
    /// The secrets that this machine could share now. Requests for others are dropped; without this
    /// input, all are.
    Shareable {
        /// Their names; more than 1,000 are cut off.
        names: Vec<SecretName>,
    },
    /// The user answered a [`Prompt`](super::Prompt).
    PromptAnswered {
        /// The prompt.
        prompt: PromptId,
        /// The secrets that may be shared; empty for "No". Whatever the prompt did not name is left
        /// out.
        allowed: Vec<SecretName>,
    },
    /// Secrets must not be shared or taken until [`Unlocked`](Self::Unlocked).
    Locked,
    /// They may again. A new machine is unlocked.
    Unlocked,
    /// The server took a [`Send`](super::Send).
    Sent {
        /// Which.
        id: SendId,
    },
    /// The server did not take a [`Send`](super::Send). It comes again later.
    SendFailed {
        /// Which.
        id: SendId,
    },
    /// The driver does not have the secret of a [`Share`](super::Share), or will not share it.
    ShareDropped {
        /// Which.
        id: ShareId,
    },
    /// A [`Share`](super::Share) did not come as far as
    /// [`authorise`](super::SecretSharing::authorise), for want of a session. It comes again later.
    ShareFailed {
        /// Which.
        id: ShareId,
    },
    /// Time has passed: [`next_deadline`](super::SecretSharing::next_deadline) is over.
    Tick,
}

/// Whom to ask for a secret.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Recipients {
    /// The devices that are verified, and those that become so while the request is open.
    #[default]
    Verified,
    /// These, as far as they are verified.
    Devices(Vec<String>),
    /// All devices, as `*`: for peers that this machine does not know yet. Only answers of devices
    /// that were verified when the request was sent are taken anyway.
    Everyone,
}

/// A to-device event and how it came.
pub struct ToDeviceEvent {
    /// Its type; for an encrypted event that of the plaintext.
    pub event_type: String,
    /// Its content as JSON; for an encrypted event that of the plaintext. It may hold a secret.
    pub content: Secret,
    /// The way in which it arrived.
    pub channel: Channel,
}

/// The way in which a to-device event arrived.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "keys are large, and it is moved, not kept"
)]
#[non_exhaustive]
pub enum Channel {
    /// As it is: all of it, the sender included, is what the server says.
    Plain {
        /// The user that the server says to have sent it.
        sender: String,
    },
    /// Olm-encrypted, and decrypted with all [five
    /// checks](https://spec.matrix.org/v1.19/client-server-api/#validation-of-incoming-decrypted-events)
    /// of the specification passed. Never for Megolm.
    Olm {
        /// The sender in the plaintext, which is also that of the event.
        sender: String,
        /// The key that the Olm session is bound to.
        curve25519: Curve25519PublicKey,
        /// `keys.ed25519` of the plaintext.
        ed25519: PublicKey,
    },
}

impl Channel {
    pub(super) fn sender(&self) -> &str {
        match self {
            Self::Plain { sender } | Self::Olm { sender, .. } => sender,
        }
    }
}

impl std::fmt::Debug for ToDeviceEvent {
    /// Leaves the content out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToDeviceEvent")
            .field("event_type", &self.event_type)
            .field("channel", &self.channel)
            .finish_non_exhaustive()
    }
}
