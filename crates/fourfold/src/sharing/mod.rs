//! Sharing secrets between the devices of a user, with `m.secret.request` and `m.secret.send`
//! ([Sharing](https://spec.matrix.org/v1.19/client-server-api/#sharing)), and with unrequested
//! pushes ([MSC4385](https://github.com/matrix-org/matrix-spec-proposals/pull/4385)).
//!
//! [`SecretSharing`] is the state machine; [`SharingEvent`] reads the events.

mod event;
mod input;
mod output;
mod policy;
mod request_id;
mod share;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use event::SharingEvent;
pub use input::{Channel, Input, Recipients, ToDeviceEvent};
pub use output::{
    Alert, AskRefusal, Audit, AuditDecision, DeviceSummary, Origin, Outcome, Output, Prompt,
    PromptId, Received, Send, SendId, Settled, Share, ShareId, Standing,
};
pub use policy::{Policy, Rule};
pub use request_id::{RequestId, RequestIdError};
pub use share::{Authorised, ShareRefusal};

use crate::{Evidence, Timestamp, identity::Trust};

/// The state machine of secret sharing on one device.
///
/// It decides who may receive what and what is taken from whom. It sends nothing and encrypts
/// nothing: what happened goes in ([`handle`](Self::handle)), what to do comes out
/// ([`poll`](Self::poll)).
#[derive(Debug, Deserialize, Serialize)]
pub struct SecretSharing {
    policy: Policy,
}

impl SecretSharing {
    /// How long a request stays open, and how long one of another device waits here.
    pub const REQUEST_LIFETIME: Duration = Duration::from_mins(15);

    /// A machine that has seen nothing.
    #[must_use]
    pub const fn new(policy: Policy) -> Self {
        Self { policy }
    }

    /// Replaces the rules. They hold for everything that was not encrypted yet.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The rules.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, world: &World<'_>) {
        let _ = (input, world);
    }

    /// What to do next; `None` when there is nothing left.
    pub fn poll(&mut self) -> Option<Output> {
        None
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// The final word on a [`Share`], to be asked for immediately before encrypting.
    ///
    /// # Errors
    ///
    /// [`ShareRefusal`]: nothing must be encrypted, and the share is over.
    pub fn authorise(
        &mut self,
        share: ShareId,
        world: &World<'_>,
    ) -> Result<Authorised, ShareRefusal> {
        let _ = (share, world);
        Err(ShareRefusal::Over)
    }
}

/// What the machine looks at when it decides.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "made by whoever drives the machine"
)]
pub struct World<'a> {
    /// Which devices there are and whom this machine trusts.
    pub trust: &'a Trust,
    /// What received values are compared with. The backup version must be the current one when a
    /// backup key may arrive: without it, a backup key is refused.
    pub evidence: &'a Evidence,
    /// Now. A moment before one that was seen counts as the latter.
    pub now: Timestamp,
}
