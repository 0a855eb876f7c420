//! The state machine: who may receive what, and what is taken from whom.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::announce::Announcements;
use super::answer::Answers;
use super::effects::Effects;
use super::ignored::Counts;
use super::inbox::Inbox;
use super::outbox::Outbox;
use super::rate_limit::RateLimit;
use super::request::Requests;
use super::share::Rules;
use crate::sharing::{
    Authorised, Context, Ignored, Input, Output, Policy, RequestId, ShareId, ShareRefusal,
    SharingEvent, ToDeviceEvent,
};
use crate::{SecretName, Timestamp};

/// The state machine of secret sharing on one device.
///
/// It decides who may receive what, and what is taken from whom. It sends nothing, encrypts nothing
/// and reads no clock: what happened goes in ([`handle`](Self::handle)), what to do comes out
/// ([`poll`](Self::poll)).
///
/// # What it promises
///
/// - A secret goes only to a device that [`Trust`](crate::identity::Trust) says is verified at the moment of encryption, and
///   the device list is fresh then; as the [`Policy`] and, where it says so, the user allow; at most
///   3 times an hour for each device and secret, 20 times an hour altogether.
/// - A value is taken only over Olm, from a verified device, for an open request that went to that
///   device, and if it fits the pinned or published key where its name has one. The first that
///   passes wins; one that does not pass does not end the request.
/// - Anyone who asks and gets nothing cannot tell whether the secret is not available, denied, or the
///   device not trusted: in all cases nothing is sent, and nothing fetched from the network.
/// - Everything is bounded, however much comes in; what is ignored is counted
///   ([`ignored`](Self::ignored)).
///
/// # What the driver does
///
/// - Hands in what happened as it happens: all to-device events of one sync, then polls until
///   `None`. [`Input::Tick`] at [`next_deadline`](Self::next_deadline), and after a restart.
/// - Keeps [`Trust`](crate::identity::Trust) up to date by itself, never because of a request: `/keys/query` after
///   `device_lists.changed`, with [`Trust::mark_stale`](crate::identity::Trust::mark_stale) until it is answered, then
///   [`Input::TrustChanged`].
/// - Stores the state (serde) whenever it handled or authorised something, in one transaction with
///   the Olm sessions, the secrets that were received and the ciphertexts that were made, before
///   anything is sent. What is not stored with it happens again or not at all.
/// - Does for a [`Share`](super::Share) what is said there. While the machine is locked it keeps the answers that
///   come, sealed, and hands them in after [`Input::Unlocked`]: a locked machine drops secrets.
/// - Counts time as [`Timestamp`] says.
///
/// ```
/// use fourfold::{PublishedKeys, SecretName, Timestamp, identity::Trust};
/// use fourfold::sharing::{Input, Output, Policy, Recipients, RequestId, SecretSharing, Context};
///
/// let trust = Trust::new("@alice:example.org", "HERE"); // knows no device yet
/// let context = Context {
///     trust: &trust,
///     published_keys: &PublishedKeys::default(),
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
///     &context,
/// );
/// // Nobody is verified, so nothing is sent: the request waits for a device to become so.
/// while let Some(output) = sharing.poll() {
///     assert!(matches!(output, Output::Audit(_)));
/// }
/// let deadline = sharing.next_deadline();
/// assert_eq!(deadline, Some(context.now + SecretSharing::REQUEST_LIFETIME));
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
    /// The time for which a request stays open, and for which one of another device waits here.
    pub const REQUEST_LIFETIME: Duration = Requests::LIFETIME;
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

    /// Returns `true` if the machine is locked. That is kept over a restart.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    /// The number of events ignored for this reason since the machine was created or restored.
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
    pub fn handle(&mut self, input: Input, context: &Context<'_>) {
        let context = &self.at(context);
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
                    .ask(name, request_id, &recipients, policy, io, context);
            }
            Input::Abort { request_id } => self.requests.abort(&request_id, io, context),
            Input::Push { name, push_id } => self.answers.push(&name, &push_id, context),
            Input::Event(event) => {
                if let Some(reason) = self.receive(event, context) {
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
                    .prompt_answered(prompt, &allowed, announcements, context);
            }
            Input::Locked => {
                self.locked = true;
                self.requests.forget_values();
            }
            Input::Unlocked => self.locked = false,
            Input::Sent { id } => self.outbox.sent(id),
            Input::SendFailed { id } => self.outbox.failed(id, context.now),
            Input::ShareDropped { id } => self.answers.share_dropped(id),
            Input::ShareFailed { id } => self.answers.share_failed(id, context.now),
            Input::TrustChanged | Input::Tick => {}
        }
        self.advance(context);
    }

    /// The next output; `None` if there is none until the next input.
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

    /// The final word on a [`Share`](super::Share), to be asked for immediately before encrypting: nothing may
    /// happen in between.
    ///
    /// # Errors
    ///
    /// [`ShareRefusal`]: nothing must be encrypted. This [`Share`](super::Share) is over; if there is still a
    /// chance, another comes.
    pub fn authorise(
        &mut self,
        share: ShareId,
        context: &Context<'_>,
    ) -> Result<Authorised, ShareRefusal> {
        let context = &self.at(context);
        let rules = Rules {
            policy: &self.policy,
            locked: self.locked,
            shareable: &self.shareable,
            limit: &self.limit,
        };
        let announcements = &mut self.announcements;
        let authorised = self
            .answers
            .authorise(share, &rules, announcements, context)?;
        if authorised.is_answer() {
            let device_id = &authorised.device().device_id;
            self.limit.record(device_id, authorised.name(), context.now);
        }
        Ok(authorised)
    }

    /// Takes in a to-device event, and says why it was ignored if it was.
    fn receive(&mut self, event: ToDeviceEvent, context: &Context<'_>) -> Option<Ignored> {
        let channel = &event.channel;
        // Before anything is read: other users cost nothing.
        if channel.sender() != context.trust.user_id() {
            return Some(Ignored::OtherUser);
        }
        let io = &mut Effects {
            outbox: &mut self.outbox,
            announcements: &mut self.announcements,
        };
        match SharingEvent::read(&event.event_type, &event.content) {
            Err(_) => Some(Ignored::Malformed),
            Ok(SharingEvent::Request {
                name,
                device_id,
                request_id,
            }) => {
                let announcements = &mut self.announcements;
                self.answers
                    .requested(name, device_id, request_id, announcements, context)
            }
            Ok(SharingEvent::Cancellation {
                device_id,
                request_id,
            }) => self.answers.cancelled(&device_id, &request_id, context),
            Ok(SharingEvent::Send { request_id, secret }) => {
                self.requests
                    .answered(channel, request_id, secret, self.locked, io, context)
            }
            Ok(SharingEvent::Push { name, secret }) => {
                let rules = (&self.policy, self.locked);
                self.inbox.pushed(channel, name, secret, rules, io, context)
            }
        }
    }

    /// Does what time and trust have made due.
    fn advance(&mut self, context: &Context<'_>) {
        let io = &mut Effects {
            outbox: &mut self.outbox,
            announcements: &mut self.announcements,
        };
        self.requests.advance(io, context);
        self.outbox.expire(context.now);
        let rules = Rules {
            policy: &self.policy,
            locked: self.locked,
            shareable: &self.shareable,
            limit: &self.limit,
        };
        self.answers
            .advance(&rules, &mut self.announcements, context);
    }

    /// The context at the latest moment that was seen.
    fn at<'a>(&mut self, context: &Context<'a>) -> Context<'a> {
        self.now = self.now.max(context.now);
        Context {
            now: self.now,
            ..*context
        }
    }
}
