//! Sharing secrets between the devices of a user, with `m.secret.request` and `m.secret.send`
//! ([Sharing](https://spec.matrix.org/v1.19/client-server-api/#sharing)), and with unrequested
//! pushes ([MSC4385](https://github.com/matrix-org/matrix-spec-proposals/pull/4385)).
//!
//! [`SecretSharing`] is the state machine; [`SharingEvent`] reads the events for whoever only looks
//! at them.

mod accept;
mod announce;
mod answer;
mod back_off;
mod event;
mod ignored;
mod inbox;
mod input;
mod outbox;
mod output;
mod policy;
mod prompt;
mod rate_limit;
mod recent;
mod request;
mod request_id;
mod share;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use self::announce::Announcements;
use self::answer::Answers;
pub use self::event::SharingEvent;
use self::ignored::Counts;
pub use self::ignored::Ignored;
use self::inbox::Inbox;
pub use self::input::{Channel, Input, Recipients, ToDeviceEvent};
use self::outbox::Outbox;
pub use self::output::{
    Alert, AskRefusal, Audit, AuditDecision, DeviceSummary, Origin, Outcome, Output, Prompt,
    PromptId, Received, Send, SendId, Settled, Share, ShareId, Standing,
};
pub use self::policy::{Policy, Rule};
use self::rate_limit::RateLimit;
use self::request::{Effects, Requests};
pub use self::request_id::{RequestId, RequestIdError};
use self::share::Rules;
pub use self::share::{Authorised, ShareRefusal};
use self::wire::Incoming;
use crate::identity::Trust;
use crate::{Evidence, SecretName, Timestamp};

/// The state machine of secret sharing on one device.
///
/// It decides who may receive what, and what is taken from whom. It sends nothing, encrypts nothing
/// and reads no clock: what happened goes in ([`handle`](Self::handle)), what to do comes out
/// ([`poll`](Self::poll)).
///
/// # What it promises
///
/// - A secret goes only to a device that [`Trust`] says is verified at the moment of encryption, and
///   the device list is fresh then; as the [`Policy`] and, where it says so, the user allow; at most
///   3 times an hour for each device and secret, 20 times an hour altogether.
/// - A value is taken only over Olm, from a verified device, for an open request that went to that
///   device, and if it fits the pinned or published key where its name has one. The first that
///   passes wins; one that does not pass does not end the request.
/// - Whoever asks and gets nothing cannot tell whether the secret is not held, denied, or the device
///   not trusted: in all cases nothing is sent, and nothing fetched from the network.
/// - Everything is bounded, however much comes in; what is ignored is counted
///   ([`ignored`](Self::ignored)).
///
/// # What the driver does
///
/// - Hands in what happened as it happens: all to-device events of one sync, then polls until
///   `None`. [`Input::Tick`] at [`next_deadline`](Self::next_deadline), and after a restart.
/// - Keeps [`Trust`] up to date by itself, never because of a request: `/keys/query` after
///   `device_lists.changed`, with [`Trust::mark_stale`] until it is answered, then
///   [`Input::TrustChanged`].
/// - Stores the state (serde) whenever it handled or authorised something, in one transaction with
///   the Olm sessions, the secrets that were received and the ciphertexts that were made, before
///   anything is sent. What is not stored with it happens again or not at all.
/// - Does for a [`Share`] what is said there. While the machine is locked it keeps the answers that
///   come, sealed, and hands them in after [`Input::Unlocked`]: a locked machine drops secrets.
/// - Counts time as [`Timestamp`] says.
///
/// ```
/// use fourfold::{Evidence, SecretName, Timestamp, identity::Trust};
/// use fourfold::sharing::{Input, Output, Policy, Recipients, RequestId, SecretSharing, World};
///
/// let trust = Trust::new("@alice:example.org", "HERE"); // knows no device yet
/// let world = World {
///     trust: &trust,
///     evidence: &Evidence::default(),
///     now: Timestamp::from_millis(1_764_000_000_000),
/// };
/// let mut sharing = SecretSharing::new(Policy::default());
/// let request_id = RequestId::random(&mut rand_core::UnwrapErr(getrandom::SysRng));
/// sharing.handle(
///     Input::Ask {
///         name: SecretName::backup_key(),
///         request_id,
///         recipients: Recipients::Verified,
///     },
///     &world,
/// );
/// // Nobody is verified, so nothing is sent: the request waits for a device to become so.
/// while let Some(output) = sharing.poll() {
///     assert!(matches!(output, Output::Audit(_)));
/// }
/// let deadline = sharing.next_deadline();
/// assert_eq!(deadline, Some(world.now + SecretSharing::REQUEST_LIFETIME));
/// ```
#[derive(Debug, Deserialize, Serialize)]
pub struct SecretSharing {
    policy: Policy,
    /// The latest moment that was seen: time never goes back.
    now: Timestamp,
    locked: bool,
    shareable: BTreeSet<SecretName>,
    requests: Requests,
    answers: Answers,
    limit: RateLimit,
    inbox: Inbox,
    outbox: Outbox,
    announcements: Announcements,
    #[serde(skip)]
    ignored: Counts,
}

impl SecretSharing {
    /// How long a request stays open, and how long one of another device waits here.
    pub const REQUEST_LIFETIME: Duration = Duration::from_mins(15);
    /// The most secrets that can be shared.
    pub const MAX_SHAREABLE: usize = 1000;

    /// A machine that has seen nothing.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            now: Timestamp::default(),
            locked: false,
            shareable: BTreeSet::new(),
            requests: Requests::default(),
            answers: Answers::default(),
            limit: RateLimit::default(),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            announcements: Announcements::default(),
            ignored: Counts::default(),
        }
    }

    /// Replaces the rules. They hold for everything that was not authorised yet.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// The rules.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the machine is locked. That is kept over a restart.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// How often events were ignored for this reason, since the machine was made or restored.
    #[must_use]
    pub fn ignored(&self, reason: Ignored) -> u64 {
        self.ignored.of(reason)
    }

    /// The requests that are open, with the secret and the number of devices that were asked.
    pub fn open_requests(&self) -> impl Iterator<Item = (&RequestId, &SecretName, usize)> {
        self.requests
            .open()
            .map(|(id, request)| (id, &request.name, request.asked.len()))
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, world: &World<'_>) {
        let world = &self.at(world);
        let io = &mut Effects {
            outbox: &mut self.outbox,
            announcements: &mut self.announcements,
        };
        match input {
            Input::Ask {
                name,
                request_id,
                recipients,
            } => {
                let policy = &self.policy;
                self.requests
                    .ask(name, request_id, &recipients, policy, io, world);
            }
            Input::Abort { request_id } => self.requests.abort(&request_id, io, world),
            Input::Push { name, push_id } => self.answers.push(&name, &push_id, world),
            Input::Event(event) => {
                if let Some(reason) = self.receive(event, world) {
                    self.ignored.count(reason);
                    return;
                }
            }
            Input::Shareable { names } => {
                self.shareable = names.into_iter().take(Self::MAX_SHAREABLE).collect();
            }
            Input::PromptAnswered { prompt, allowed } => {
                let announcements = &mut self.announcements;
                self.answers
                    .prompt_answered(prompt, &allowed, announcements, world);
            }
            Input::Locked => {
                self.locked = true;
                self.requests.forget_values();
            }
            Input::Unlocked => self.locked = false,
            Input::Sent { id } => self.outbox.sent(id),
            Input::SendFailed { id } => self.outbox.failed(id, world.now),
            Input::ShareDropped { id } => self.answers.share_dropped(id),
            Input::ShareFailed { id } => self.answers.share_failed(id, world.now),
            Input::TrustChanged | Input::Tick => {}
        }
        self.advance(world);
    }

    /// What to do next; `None` when there is nothing left until the next input.
    pub fn poll(&mut self) -> Option<Output> {
        if let Some(output) = self.announcements.pop() {
            return Some(output);
        }
        if let Some(send) = self.outbox.next(self.now) {
            return Some(Output::Send(send));
        }
        // Last, so that one prompt is about all that a device asked for.
        let prompt = self.answers.next_prompt(&mut self.announcements, self.now);
        prompt.map(Output::Prompt)
    }

    /// When [`Input::Tick`] is due, if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let deadlines = [
            self.requests.deadline(),
            self.answers.deadline(self.now),
            self.outbox.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// The final word on a [`Share`], to be asked for immediately before encrypting: nothing may
    /// happen in between.
    ///
    /// # Errors
    ///
    /// [`ShareRefusal`]: nothing must be encrypted. This [`Share`] is over; if there is still a
    /// chance, another comes.
    pub fn authorise(
        &mut self,
        share: ShareId,
        world: &World<'_>,
    ) -> Result<Authorised, ShareRefusal> {
        let world = &self.at(world);
        let rules = Rules {
            policy: &self.policy,
            locked: self.locked,
            shareable: &self.shareable,
            limit: &self.limit,
        };
        let announcements = &mut self.announcements;
        let authorised = self
            .answers
            .authorise(share, &rules, announcements, world)?;
        if authorised.is_answer() {
            let device_id = &authorised.device().device_id;
            self.limit.record(device_id, authorised.name(), world.now);
        }
        Ok(authorised)
    }

    /// Takes in a to-device event, and says why it was ignored if it was.
    fn receive(&mut self, event: ToDeviceEvent, world: &World<'_>) -> Option<Ignored> {
        let channel = &event.channel;
        // Before anything is read: other users cost nothing.
        if channel.sender() != world.trust.user_id() {
            return Some(Ignored::OtherUser);
        }
        let io = &mut Effects {
            outbox: &mut self.outbox,
            announcements: &mut self.announcements,
        };
        match Incoming::read(&event.event_type, &event.content) {
            None => Some(Ignored::Malformed),
            Some(Incoming::Request {
                name,
                device_id,
                request_id,
            }) => {
                let announcements = &mut self.announcements;
                self.answers
                    .requested(name, device_id, request_id, announcements, world)
            }
            Some(Incoming::Cancellation {
                device_id,
                request_id,
            }) => self.answers.cancelled(&device_id, &request_id, world),
            Some(Incoming::Send { request_id, secret }) => {
                self.requests
                    .answered(channel, request_id, secret, self.locked, io, world)
            }
            Some(Incoming::Push { name, secret }) => {
                let rules = (&self.policy, self.locked);
                self.inbox.pushed(channel, name, secret, rules, io, world)
            }
        }
    }

    /// Does what time and trust have made due.
    fn advance(&mut self, world: &World<'_>) {
        let io = &mut Effects {
            outbox: &mut self.outbox,
            announcements: &mut self.announcements,
        };
        self.requests.advance(io, world);
        self.outbox.expire(world.now);
        let rules = Rules {
            policy: &self.policy,
            locked: self.locked,
            shareable: &self.shareable,
            limit: &self.limit,
        };
        self.answers.advance(&rules, &mut self.announcements, world);
    }

    /// The world at the latest moment that was seen.
    fn at<'a>(&mut self, world: &World<'a>) -> World<'a> {
        self.now = self.now.max(world.now);
        World {
            now: self.now,
            ..*world
        }
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
