//! Sharing secrets between the devices of a user, with `m.secret.request` and `m.secret.send`
//! ([Sharing](https://spec.matrix.org/v1.19/client-server-api/#sharing)), and with unrequested
//! pushes ([MSC4385](https://github.com/matrix-org/matrix-spec-proposals/pull/4385)).
//!
//! [`SecretSharing`] is the state machine; [`SharingEvent`] is what it reads, for whoever only looks
//! at the events.

mod accept;
mod announce;
mod answer;
mod back_off;
mod context;
mod effects;
mod event;
mod ignored;
mod inbox;
mod input;
mod machine;
mod open_request;
mod outbox;
mod output;
mod pending;
mod policy;
mod prompt;
mod rate_limit;
mod recent;
mod request;
mod request_id;
mod share;
mod wire;

pub use self::context::Context;
pub use self::event::{SharingEvent, SharingEventError};
pub use self::ignored::Ignored;
pub use self::input::{Channel, Input, Recipients, ToDeviceEvent};
pub use self::machine::SecretSharing;
pub use self::output::{
    Alert, AskRefusal, Assurance, Audit, AuditDecision, DeviceSummary, Origin, Outcome, Output,
    Prompt, PromptId, Received, Send, SendId, Settled, Share, ShareId,
};
pub use self::policy::{Policy, Rule};
pub use self::request_id::{RequestId, RequestIdError};
pub use self::share::{Authorised, ShareRefusal};
