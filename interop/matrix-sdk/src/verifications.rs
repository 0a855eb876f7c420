//! The verifications that a device takes part in.

use matrix_sdk::Client;
use matrix_sdk::encryption::verification::{
    SasVerification, Verification, VerificationRequest, VerificationRequestState,
};
use matrix_sdk::ruma::events::key::verification::request::ToDeviceKeyVerificationRequestEvent;
use tokio::sync::mpsc;

use crate::command::Answer;

/// The requests of other devices, and the one verification that is under way.
pub(crate) struct Verifications {
    pub(crate) incoming: mpsc::UnboundedReceiver<ToDeviceKeyVerificationRequestEvent>,
    pub(crate) request: Option<VerificationRequest>,
}

impl Verifications {
    pub(crate) fn observe(client: &Client) -> Self {
        let (sender, incoming) = mpsc::unbounded_channel();
        client.add_event_handler(async move |event: ToDeviceKeyVerificationRequestEvent| {
            let _gone = sender.send(event);
        });
        Self {
            incoming,
            request: None,
        }
    }

    pub(crate) fn request(&self) -> Answer<&VerificationRequest> {
        self.request
            .as_ref()
            .ok_or_else(|| "no verification is under way".into())
    }

    /// The comparison, when it has begun.
    pub(crate) fn sas(&self) -> Answer<Option<SasVerification>> {
        match self.request()?.state() {
            VerificationRequestState::Transitioned {
                verification: Verification::SasV1(sas),
                ..
            } => Ok(Some(sas)),
            VerificationRequestState::Cancelled(info) => {
                Err(format!("the verification was cancelled: {}", info.cancel_code()).into())
            }
            _ => Ok(None),
        }
    }
}
