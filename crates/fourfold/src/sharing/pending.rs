//! A secret that is to go to a device, until it does or does not.

use serde::{Deserialize, Serialize};

use crate::sharing::{DeviceSummary, PromptId, RequestId, ShareId};
use crate::{SecretName, Timestamp};

/// A secret that a device asked for, or that the user wants to push to it.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Pending {
    pub(super) device_id: String,
    pub(super) request_id: RequestId,
    pub(super) name: SecretName,
    pub(super) kind: ShareKind,
    pub(super) expires: Timestamp,
    /// The device as it was when it was decided upon.
    pub(super) device: Option<DeviceSummary>,
    /// Whether the user said "Yes".
    pub(super) agreed: bool,
    pub(super) attempts: u32,
    pub(super) stage: Stage,
}

/// The progress.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Stage {
    /// To be looked at, from this moment on.
    Waiting { from: Timestamp },
    /// The user is asked, or will be when the next prompt may be shown.
    Prompted(Option<PromptId>),
    /// The driver has it.
    Shared(ShareId),
}

/// The purpose of a share.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum ShareKind {
    Answer,
    Push,
}
