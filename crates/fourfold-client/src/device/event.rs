//! What a device has to tell.

use fourfold::identity::TrustChange;
use fourfold::sharing::{
    Alert, Assurance, Audit, DeviceSummary, Origin, Outcome, Prompt, PromptId, RequestId,
};
use fourfold::signed_json::PublicKey;
use fourfold::{Secret, SecretName};

use crate::verification::{CancelCode, ShortString};

/// Something that happened, for anyone who runs the device.
#[derive(Debug)]
#[non_exhaustive]
pub enum DeviceEvent {
    /// Something that the user should know now.
    Alert(Alert),
    /// A line for the audit log. It is told again by a later run of the program if this one ends
    /// before it asks for more.
    Audit(Audit),
    /// A request of this machine is over.
    Ended {
        /// The request.
        request_id: RequestId,
        /// The secret it was for.
        name: SecretName,
        /// The outcome.
        outcome: Outcome,
    },
    /// Ask the user, and tell with [`Device::answer_prompt`](crate::Device::answer_prompt).
    Prompt(Prompt),
    /// A prompt is no longer needed.
    PromptWithdrawn {
        /// Which.
        prompt: PromptId,
    },
    /// A secret came. It is among
    /// [`Device::received_secrets`](crate::Device::received_secrets) until it is discarded.
    Received {
        /// The ID under which it is stored.
        id: String,
        /// Its name.
        name: SecretName,
        /// Whether another value is held under this name.
        is_conflict: bool,
    },
    /// A secret came that is held already. It is not kept a second time: for anyone who waits for
    /// it, it is here, and nowhere else.
    ReceivedSame {
        /// Its name.
        name: SecretName,
        /// Which request it answers, if any.
        origin: Origin,
        /// The sender.
        from: DeviceSummary,
        /// The assurance about the value.
        standing: Assurance,
        /// The value.
        secret: Secret,
    },
    /// The files of this device turned out to be an older copy, put back by a backup or a snapshot.
    /// Its sessions were dropped and its one-time keys replaced; what was sent to it in the meantime
    /// may be lost. Nothing was encrypted twice under one key.
    Restored,
    /// The list of devices, or who is trusted, changed.
    Trust(TrustChange),
    /// Something happened in a verification.
    Verification {
        /// Which one.
        id: String,
        /// What.
        event: VerificationEvent,
    },
}

/// An event of a verification.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum VerificationEvent {
    /// A device asks to be verified: [`Device::agree_to_verify`](crate::Device::agree_to_verify), or
    /// [`cancel_verification`](crate::Device::cancel_verification).
    Requested {
        /// The device.
        device_id: String,
    },
    /// Both sides agreed. The side that asked starts; the other one may, with
    /// [`Device::start_comparing`](crate::Device::start_comparing).
    Ready {
        /// The device.
        device_id: String,
    },
    /// Show this to the user, ask whether the other device shows the same, and tell with
    /// [`Device::compared`](crate::Device::compared).
    Compare(ShortString),
    /// The user found both to show the same, and both sides proved to have their keys.
    Verified {
        /// The device.
        device_id: String,
        /// Its key, as it was when the verification began. Sign this one and no other.
        ed25519: PublicKey,
        /// The master key of the user, when the other device vouches for it: it can be
        /// [pinned](crate::Device::pin).
        master_key: Option<PublicKey>,
    },
    /// It is over without success.
    Cancelled {
        /// Why.
        code: CancelCode,
        /// Whether this side cancelled it.
        by_us: bool,
    },
}
