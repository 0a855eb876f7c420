//! Requests of this machine, and the commands that wait for their answers.

use std::future::poll_fn;
use std::task::{Context, Poll};

use fourfold::sharing::{AskRefusal, Assurance, DeviceSummary, Outcome, RequestId};
use fourfold::{Secret, SecretName};
use tokio::sync::oneshot;

use crate::error::{Error, Exit, Result};

/// A secret on its way to the command that asked for it.
pub(crate) struct Delivery {
    pub(crate) from: DeviceSummary,
    pub(crate) standing: Assurance,
    /// Whether secret storage holds another value under this name.
    pub(crate) is_conflict: bool,
    pub(crate) secret: Secret,
}

/// Where the answer goes.
pub(crate) type Recipient = oneshot::Sender<Result<Delivery>>;

/// The commands that wait, and the secrets that they wait for.
#[derive(Default)]
pub(crate) struct Requests {
    waiting: Vec<Waiting>,
}

struct Waiting {
    id: RequestId,
    name: SecretName,
    recipient: Recipient,
}

impl Requests {
    pub(crate) fn put(&mut self, id: RequestId, name: SecretName, recipient: Recipient) {
        self.waiting.push(Waiting {
            id,
            name,
            recipient,
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Returns `true` if somebody waits for this secret.
    pub(crate) fn wants(&self, name: &SecretName) -> bool {
        self.waiting.iter().any(|one| one.name == *name)
    }

    /// Hands a secret to the command that waits for it, or says why it cannot. When nobody does any
    /// more, it is wiped.
    pub(crate) fn answer(&mut self, name: &SecretName, answer: Result<Delivery>) {
        let position = self.waiting.iter().position(|one| one.name == *name);
        if let Some(position) = position {
            let waiting = self.waiting.swap_remove(position);
            let _ = waiting.recipient.send(answer);
        }
    }

    /// Tells the command that waits that a request ended without a secret.
    pub(crate) fn end(&mut self, id: &RequestId, outcome: Outcome) {
        let position = self.waiting.iter().position(|one| one.id == *id);
        if outcome == Outcome::Received {
            return;
        }
        if let Some(position) = position {
            let waiting = self.waiting.swap_remove(position);
            let _ = waiting.recipient.send(Err(ended(outcome)));
        }
    }

    /// A request that nobody waits for any more. Never ends as long as somebody waits for each.
    pub(crate) async fn given_up(&mut self) -> RequestId {
        poll_fn(|context| self.poll_given_up(context)).await
    }

    fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<RequestId> {
        let closed = self
            .waiting
            .iter_mut()
            .position(|one| one.recipient.poll_closed(context).is_ready());
        match closed {
            Some(position) => Poll::Ready(self.waiting.swap_remove(position).id),
            None => Poll::Pending,
        }
    }
}

fn ended(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Refused(AskRefusal::AlreadyOpen) => Error::new(
            Exit::Conflict,
            "this secret was requested already: wait for the answer",
        ),
        Outcome::Refused(AskRefusal::Forbidden) => Error::new(
            Exit::Policy,
            "the master key is never requested: open it with the recovery key",
        )
        .hint("fourfold get m.cross_signing.master"),
        Outcome::Refused(_) => {
            Error::new(Exit::Conflict, "too many requests are open: wait a while")
        }
        _ => Error::refused("no device sent the secret"),
    }
}

#[cfg(test)]
mod tests {
    use fourfold::rand_core::UnwrapErr;

    use super::*;

    fn id() -> RequestId {
        RequestId::random(&mut UnwrapErr(getrandom::SysRng))
    }

    fn name() -> SecretName {
        SecretName::backup_key()
    }

    #[tokio::test]
    async fn who_goes_away_is_noticed_and_the_others_wait_on() {
        let mut requests = Requests::default();
        let (gone, stays) = (id(), id());
        let (sender, receiver) = oneshot::channel();
        requests.put(stays.clone(), name(), sender);
        let (sender, goes) = oneshot::channel();
        requests.put(gone.clone(), SecretName::user_signing_key(), sender);
        drop(goes);
        assert_eq!(requests.given_up().await, gone);
        assert!(requests.wants(&name()) && !requests.wants(&SecretName::user_signing_key()));
        requests.end(&stays, Outcome::TimedOut);
        let error = receiver.await.unwrap().err().unwrap();
        assert_eq!(error.exit, Exit::Refused);
        assert!(requests.is_empty());
    }

    #[test]
    fn an_end_with_the_secret_leaves_the_waiting_to_the_secret() {
        let mut requests = Requests::default();
        let one = id();
        let (sender, _receiver) = oneshot::channel();
        requests.put(one.clone(), name(), sender);
        requests.end(&one, Outcome::Received);
        assert!(!requests.is_empty());
        requests.end(&id(), Outcome::Aborted);
        assert!(!requests.is_empty());
    }
}
