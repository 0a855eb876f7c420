//! What to do, as the machine tells the driver.

use serde::{Deserialize, Serialize};

use crate::identity::{Curve25519PublicKey, DeviceTrust, KnownDevice};
use crate::sharing::RequestId;
use crate::signed_json::PublicKey;
use crate::{Content, Secret, SecretName, Timestamp};

/// What to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send this event, unencrypted, to these devices.
    Send(Send),
    /// Share this secret with that device.
    Share(Share),
    /// Ask the user.
    Prompt(Prompt),
    /// A prompt is no longer needed: the devices took their requests back, or it is too late. It
    /// counts as "No".
    PromptWithdrawn {
        /// Which.
        prompt: PromptId,
    },
    /// A secret came.
    Received(Received),
    /// A request of this machine is over, and how.
    Ended {
        /// The request.
        request_id: RequestId,
        /// The secret it was for.
        name: SecretName,
        /// The outcome.
        outcome: Outcome,
    },
    /// Something that the user should know now.
    Alert(Alert),
    /// A line for the audit log.
    Audit(Audit),
}

/// An unencrypted to-device event for the user's own devices.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[non_exhaustive]
pub struct Send {
    /// For [`Input::Sent`](super::Input::Sent) and
    /// [`Input::SendFailed`](super::Input::SendFailed).
    pub id: SendId,
    /// The transaction ID of the HTTP request: the same when the same event comes again, so that
    /// the server delivers it once.
    pub transaction_id: String,
    /// The type of the event.
    pub event_type: String,
    /// Its content.
    pub content: Content,
    /// The device IDs; `*` when the user asked to ask everyone.
    pub devices: Vec<String>,
}

/// A secret to be shared, if it is held and if
/// [`authorise`](super::SecretSharing::authorise) still says so.
///
/// The driver fetches the secret first: no network traffic may tell a device that gets no answer
/// why. Then it makes an Olm session with exactly these keys. Then it calls `authorise`, encrypts,
/// stores the ciphertext together with the state of the machine, and only then sends.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Share {
    /// For [`authorise`](super::SecretSharing::authorise),
    /// [`Input::ShareDropped`](super::Input::ShareDropped) and
    /// [`Input::ShareFailed`](super::Input::ShareFailed).
    pub id: ShareId,
    /// The secret.
    pub name: SecretName,
    /// The recipient.
    pub device: DeviceSummary,
}

/// A question to the user: may this device have these secrets?
///
/// The default is "No", and a missing answer means the same.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Prompt {
    /// For [`Input::PromptAnswered`](super::Input::PromptAnswered).
    pub id: PromptId,
    /// The requesting device.
    pub device: DeviceSummary,
    /// For what.
    pub names: Vec<SecretName>,
    /// When it is too late to answer.
    pub expires: Timestamp,
}

/// A device as it is shown to the user and written into the audit log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DeviceSummary {
    /// The device ID.
    pub device_id: String,
    /// Its fingerprint.
    pub ed25519: PublicKey,
    /// The Curve25519 key that Olm sessions with it are bound to.
    pub curve25519: Curve25519PublicKey,
    /// Its display name: untrusted, to be escaped.
    pub display_name: Option<String>,
    /// When this machine saw it first.
    pub first_seen: Timestamp,
    /// When the user verified it on this machine, if that happened.
    pub confirmed: Option<Timestamp>,
    /// The self-signing key that signed it.
    pub signed_by: Option<PublicKey>,
}

impl From<&KnownDevice> for DeviceSummary {
    fn from(device: &KnownDevice) -> Self {
        Self {
            device_id: device.device_id.clone(),
            ed25519: device.ed25519,
            curve25519: device.curve25519,
            display_name: device.display_name.clone(),
            first_seen: device.first_seen,
            confirmed: device.confirmed,
            signed_by: device.signed_by,
        }
    }
}

/// A secret that came and was accepted. Its value is inside until [`settle`](Self::settle) has
/// compared it with what is held.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The secret.
    pub name: SecretName,
    /// The sender.
    pub from: DeviceSummary,
    /// Why it came.
    pub origin: Origin,
    /// The assurance about the value.
    pub standing: Assurance,
    pub(super) value: Secret,
}

impl Received {
    /// Compares the value with the one that is held under this name, if any. A value that differs
    /// is never put in its place without the user.
    #[must_use]
    pub fn settle(self, held: Option<&Secret>) -> Settled {
        match held {
            None => Settled::New(self.value),
            Some(held) if held.is_same(&self.value) => Settled::Same,
            Some(_) => Settled::Conflict(self.value),
        }
    }
}

/// The handling of a received secret.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_enums,
    reason = "every outcome of a comparison is listed"
)]
pub enum Settled {
    /// Another value is held. Keep this one apart, tell the user, and change nothing.
    Conflict(Secret),
    /// Nothing was held: keep this.
    New(Secret),
    /// It is held already.
    Same,
}

/// Why a secret came.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Origin {
    /// Nobody asked (MSC4385). It belongs into an inbox, from which the user takes it or not.
    Pushed,
    /// It answers this request.
    Requested(RequestId),
}

/// The assurance about the value of a received secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Assurance {
    /// It belongs to this cross-signing key, which is pinned or which the pinned master key signed.
    Pinned {
        /// The public key, in base64.
        public_key: String,
    },
    /// It belongs to the key of the backup version that the server says is current, and the pinned
    /// master key signed that version: the backup is the user's.
    SignedBackup {
        /// The version of the backup.
        version: String,
    },
    /// The same without that signature. The server could have put a key of its own there: trust the
    /// backup only when this device signed it, or the device that sent the key.
    ServerBackup {
        /// The version of the backup.
        version: String,
    },
    /// Nothing is known of such a name but that a verified device sent it.
    Untyped,
}

/// The outcome of a request of this machine.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Outcome {
    /// The user aborted it.
    Aborted,
    /// The secret came.
    Received,
    /// It was never sent, because…
    Refused(AskRefusal),
    /// Nobody answered within 15 minutes.
    TimedOut,
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[non_exhaustive]
pub enum AskRefusal {
    /// The same secret is being asked for.
    AlreadyOpen,
    /// The [`Policy`](super::Policy) forbids to ask for it.
    Forbidden,
    /// The ID was used before.
    IdUsed,
    /// Too many requests are open.
    TooMany,
}

/// Something that the user should know now. Each kind comes at most once an hour for each device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Alert {
    /// Two verified devices answered the same request with different values. The first is kept.
    ConflictingAnswers {
        /// The secret.
        name: SecretName,
        /// The sender of the second value.
        device_id: String,
    },
    /// A device that is gone or was blocked asks for a secret, or sends one.
    GoneDevice {
        /// Which.
        device_id: String,
        /// The reason for distrust.
        trust: DeviceTrust,
    },
    /// A verified device sent a value that is not what its name says.
    InvalidValue {
        /// The secret.
        name: SecretName,
        /// The sender.
        device_id: String,
    },
    /// A device asks for more than it may have in an hour. Somebody may be forging its requests.
    RateLimited {
        /// Which.
        device_id: String,
        /// The secret that it asked for.
        name: SecretName,
    },
}

/// One line of the audit log. It never holds a value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Audit {
    /// When.
    pub at: Timestamp,
    /// The secret.
    pub name: SecretName,
    /// The other device; none when a request goes out or ends.
    pub device: Option<DeviceSummary>,
    /// The decision.
    pub decision: AuditDecision,
}

/// The decision.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditDecision {
    /// The secret was asked for.
    Asked,
    /// The policy denies it.
    Denied,
    /// A request of this machine ended without an answer.
    EndedUnanswered,
    /// A prompt is shown.
    Prompted,
    /// A value that nobody asked for was taken into the inbox.
    PushReceived,
    /// Not answered: more than the device may have in an hour.
    RateLimited,
    /// A value was accepted.
    Received,
    /// It was shared.
    Shared,
    /// The user said "No", or nothing.
    UserDenied,
}

/// Names a [`Send`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct SendId(pub(super) u64);

/// Names a [`Share`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct ShareId(pub(super) u64);

/// Names a [`Prompt`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct PromptId(pub(super) u64);
