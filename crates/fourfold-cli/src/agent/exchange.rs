//! The device at work: in sync with the homeserver, asking other devices and answering them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fourfold::SecretName;
use fourfold::identity::CannotAsk;
use fourfold::sharing::{Origin, Policy, Prompt, PromptId, Recipients, RequestId};
use fourfold_client::{
    Account, Backoff, Device, DeviceError, DeviceEvent, ReceivedSecret, SecretSource, SyncBatch,
    VerificationEvent, escape_untrusted,
};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use crate::agent::asker::Asker;
use crate::agent::audit::{ALERT, AuditLog, Record};
use crate::agent::questions::Questions;
use crate::agent::report;
use crate::agent::requests::{Delivery, Recipient, Requests};
use crate::agent::sieve::{Kind, Sieve};
use crate::error::{Error, Exit, Result};
use crate::hints;
use crate::terminal::messages;

/// The context of an exchange, apart from its device.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) account: Account,
    pub(crate) audit: AuditLog,
    pub(crate) questions: Arc<Questions>,
    pub(crate) asker: Arc<Asker>,
    /// Whether the homeserver is heard.
    pub(crate) in_sync: Arc<AtomicBool>,
}

/// A device at work. Dropped at any moment between two calls, it has lost nothing.
pub(crate) struct Exchange<S> {
    device: Device,
    secrets: S,
    context: Context,
    prompts: JoinSet<Answered>,
    asked: HashMap<PromptId, AbortHandle>,
    backoff: Backoff,
    /// Nothing is asked of the homeserver before that.
    not_before: Instant,
    /// Lines that an earlier run may not have written are reported first; they may already be in
    /// the log.
    has_told: bool,
    /// The lines that are not written yet.
    unwritten: VecDeque<Entry>,
    /// Keeps a homeserver from filling the terminal and the log.
    sieve: Sieve,
}

/// A line for the audit log.
struct Entry {
    record: Record,
    /// Whether an earlier run may have written it.
    may_be_there: bool,
}

/// The next thing to do.
pub(crate) enum Happened {
    Answered(Answered),
    Arrived(SyncBatch, Instant),
    Due,
    Unreachable(fourfold_client::Error),
}

/// An answer of the user.
pub(crate) struct Answered {
    prompt: PromptId,
    allowed: Vec<SecretName>,
}

impl<S: SecretSource> Exchange<S> {
    /// Starts with this policy. Nothing is shared before [`share`](Self::share).
    pub(crate) fn new(
        mut device: Device,
        secrets: S,
        context: Context,
        policy: Policy,
    ) -> Result<Self, DeviceError> {
        device.set_policy(policy)?;
        device.lock_sharing()?;
        Ok(Self {
            device,
            secrets,
            context,
            prompts: JoinSet::new(),
            asked: HashMap::new(),
            backoff: Backoff::default(),
            not_before: Instant::now(),
            has_told: false,
            unwritten: VecDeque::new(),
            sieve: Sieve::default(),
        })
    }

    /// From now on shares secrets of these names, and takes those that were asked for. `false` when
    /// that could not be kept: after [`pause_is_over`](Self::pause_is_over) it can be tried again.
    pub(crate) async fn share(
        &mut self,
        names: Vec<SecretName>,
        requests: &mut Requests,
    ) -> Result<bool> {
        let allowed = self.device.set_shareable(names);
        let allowed = allowed.and_then(|()| self.device.unlock_sharing());
        if !self.is_kept(allowed)? {
            return Ok(false);
        }
        self.flush(requests).await?;
        Ok(true)
    }

    /// Shares and takes nothing from now on. `false` as with [`share`](Self::share).
    pub(crate) fn pause_sharing(&mut self) -> Result<bool> {
        let paused = self.device.lock_sharing();
        self.is_kept(paused)
    }

    /// Waits until it may be tried again what failed last.
    pub(crate) async fn pause_is_over(&self) {
        sleep_until(self.not_before).await;
    }

    /// The source of the secrets.
    pub(crate) fn secrets(&self) -> &S {
        &self.secrets
    }

    /// Asks other devices for a secret; the recipient hears how it ends.
    pub(crate) async fn request(
        &mut self,
        name: SecretName,
        from: Option<String>,
        recipient: Recipient,
        requests: &mut Requests,
    ) -> Result<()> {
        if let Err(error) = self.check_can_ask(from.as_deref()).await {
            let _ = recipient.send(Err(error));
            return Ok(());
        }
        // An answer may have come when nobody waited for it.
        if let Some(taken) = self.take_received(&name).transpose() {
            let _ = recipient.send(taken);
            return Ok(());
        }
        // An earlier run may have been killed while it waited: its request goes on, unless it asked
        // others than are asked now.
        let left_over = self.device.open_request(&name);
        let id = match left_over.filter(|_| !requests.wants(&name)) {
            Some(id) if from.is_none() => id,
            left_over => {
                let recipients =
                    from.map_or(Recipients::Verified, |id| Recipients::Devices(vec![id]));
                let taken_back = left_over.map_or(Ok(()), |id| self.device.abort_request(id));
                match taken_back.and_then(|()| self.device.request_secret(name.clone(), recipients))
                {
                    Ok(id) => id,
                    Err(error) => {
                        let _ = recipient.send(Err(error.into()));
                        return Ok(());
                    }
                }
            }
        };
        requests.put(id, name, recipient);
        self.flush(requests).await
    }

    /// Takes a request back. One that cannot be taken back now ends by itself, and until then an
    /// answer to it is kept for the next request.
    pub(crate) async fn abort(&mut self, id: RequestId, requests: &mut Requests) -> Result<()> {
        let taken_back = self.device.abort_request(id);
        if self.is_kept(taken_back)? {
            self.flush(requests).await?;
        }
        Ok(())
    }

    /// Waits until there is something to do. Can be dropped at any moment.
    pub(crate) async fn next(&mut self) -> Result<Happened> {
        let wait = self.device.wait(&self.context.account, LONG_POLL)?;
        let begun = Instant::now();
        let not_before = self.not_before;
        let arrival = async move {
            sleep_until(not_before).await;
            wait.await
        };
        let due = self.device.due_in();
        let due = async move {
            match due {
                Some(due) => sleep_until(not_before.max(begun + due.max(MIN_PAUSE))).await,
                None => std::future::pending().await,
            }
        };
        Ok(tokio::select! {
            batch = arrival => match batch {
                Ok(batch) => Happened::Arrived(batch, begun),
                Err(error) => Happened::Unreachable(error),
            },
            () = due => Happened::Due,
            Some(Ok(answered)) = self.prompts.join_next() => Happened::Answered(answered),
        })
    }

    /// Does what there is to do. Not to be dropped in the middle.
    pub(crate) async fn carry_out(
        &mut self,
        happened: Happened,
        requests: &mut Requests,
    ) -> Result<()> {
        match happened {
            Happened::Unreachable(error) => self.out_of_sync(DeviceError::Server(error)),
            // It comes again.
            Happened::Arrived(..) if !self.has_written() => Ok(()),
            Happened::Arrived(batch, begun) => {
                let was_empty = batch.is_empty();
                let pause = self.backoff.answered(was_empty, LONG_POLL, begun.elapsed());
                self.not_before = Instant::now() + pause;
                let (account, secrets) = (&self.context.account, &mut self.secrets);
                match self.device.take(account, batch, secrets).await {
                    Ok(events) => {
                        self.context.in_sync.store(true, Ordering::Relaxed);
                        self.handle(events, requests)
                    }
                    Err(error) => self.out_of_sync(error),
                }
            }
            Happened::Due => self.flush(requests).await,
            Happened::Answered(Answered { prompt, allowed }) => {
                let answered = self.device.answer_prompt(prompt, allowed.clone());
                if self.is_kept(answered)? {
                    self.asked.remove(&prompt);
                    return self.flush(requests).await;
                }
                // The user is not asked twice.
                let not_before = self.not_before;
                let again = self.prompts.spawn(async move {
                    sleep_until(not_before).await;
                    Answered { prompt, allowed }
                });
                self.asked.insert(prompt, again);
                Ok(())
            }
        }
    }

    /// Does what is due, and tells what came of it. That the homeserver cannot be reached now is
    /// not an error: it is done later.
    async fn flush(&mut self, requests: &mut Requests) -> Result<()> {
        let (account, secrets) = (&self.context.account, &mut self.secrets);
        if let Err(error) = self.device.flush(account, secrets).await {
            self.out_of_sync(error)?;
        }
        match self.device.events() {
            Ok(events) => self.handle(events, requests),
            Err(error) => self.out_of_sync(error),
        }
    }

    /// Whether a change of the device was kept. When the disk did not take it, nothing of it happened.
    fn is_kept(&mut self, changed: Result<(), DeviceError>) -> Result<bool> {
        let is_kept = changed.is_ok();
        changed.or_else(|error| self.out_of_sync(error))?;
        Ok(is_kept)
    }

    fn out_of_sync(&mut self, error: DeviceError) -> Result<()> {
        let pause = match &error {
            DeviceError::Server(error) if error.is_logged_out() => {
                return Err(Error::refused("logged out: the agent stops"));
            }
            DeviceError::Server(error) => self.backoff.failed(error),
            // A full disk is cleaned up some day.
            DeviceError::LocalState(_) => self.backoff.failed_here(),
            DeviceError::Devices(_) => MAX_PAUSE,
            _ => return Err(error.into()),
        };
        self.pause(pause, &error);
        Ok(())
    }

    fn pause(&mut self, pause: Duration, reason: &dyn std::fmt::Display) {
        self.not_before = Instant::now() + pause;
        let is_news = self.context.in_sync.swap(false, Ordering::Relaxed);
        if is_news && self.lets_through(Kind::OutOfSync) {
            messages::warn(format_args!("not in sync: {reason}"));
        }
    }

    /// Tries once more to write down what is not yet: whether all is.
    fn has_written(&mut self) -> bool {
        self.write_down();
        self.unwritten.is_empty()
    }

    /// Writes down what is not yet. As long as that fails nothing more is taken in: the device keeps
    /// what it decided until the next answer is taken, and tells it again after a restart.
    fn write_down(&mut self) {
        while let Some(entry) = self.unwritten.front() {
            let log = &self.context.audit;
            let record = entry.record.clone();
            let written = if entry.may_be_there {
                log.write_once(record)
            } else {
                log.write(record)
            };
            if let Err(error) = written {
                let pause = self.backoff.failed_here();
                return self.pause(pause, &error.message);
            }
            self.unwritten.pop_front();
        }
    }

    fn handle(&mut self, events: Vec<DeviceEvent>, requests: &mut Requests) -> Result<()> {
        for event in events {
            match event {
                DeviceEvent::Alert(alert) => self.notify(report::alert(&alert)),
                DeviceEvent::Audit(audit) => {
                    let may_be_there = !self.has_told;
                    self.note(report::decision(&audit), may_be_there);
                }
                DeviceEvent::Ended {
                    request_id,
                    outcome,
                    ..
                } => requests.end(&request_id, outcome),
                DeviceEvent::Prompt(prompt) => self.ask_user(prompt),
                DeviceEvent::PromptWithdrawn { prompt } => {
                    if let Some(question) = self.asked.remove(&prompt) {
                        question.abort();
                    }
                }
                DeviceEvent::Received { name, .. } if requests.wants(&name) => {
                    if let Some(taken) = self.take_received(&name).transpose() {
                        requests.answer(&name, taken);
                    }
                }
                DeviceEvent::ReceivedSame {
                    name,
                    origin: Origin::Requested(_),
                    from,
                    standing,
                    secret,
                } => requests.answer(
                    &name,
                    Ok(Delivery {
                        from,
                        standing,
                        is_conflict: false,
                        secret,
                    }),
                ),
                DeviceEvent::Restored => {
                    let record = Record::new(ALERT).reason(
                        "the files of this device are an older copy: its sessions were dropped",
                    );
                    self.notify((record, Kind::Restored));
                }
                DeviceEvent::Trust(change) => self.notify(report::change(&change)),
                DeviceEvent::Verification {
                    event: VerificationEvent::Requested { device_id },
                    ..
                } if self.lets_through(Kind::Verification) => messages::say(format_args!(
                    "the device {} asks to be verified: fourfold device verify",
                    escape_untrusted(&device_id)
                )),
                _ => {}
            }
        }
        for line in self.sieve.left_out(std::time::Instant::now()) {
            self.notify_anyway(line);
        }
        self.has_told = true;
        self.write_down();
        Ok(())
    }

    fn note(&mut self, mut record: Record, may_be_there: bool) {
        record.stamp();
        self.unwritten.push_back(Entry {
            record,
            may_be_there,
        });
    }

    fn lets_through(&mut self, kind: Kind) -> bool {
        self.sieve.lets_through(kind, std::time::Instant::now())
    }

    /// Writes a line down, and shows it when the user should know now; unless there were many of its
    /// kind, which are counted.
    fn notify(&mut self, (record, kind): (Record, Kind)) {
        if self.lets_through(kind) {
            self.notify_anyway((kind, record));
        }
    }

    fn notify_anyway(&mut self, (kind, record): (Kind, Record)) {
        if kind.is_urgent() {
            self.warn(&record);
        }
        self.note(record, false);
    }

    fn warn(&self, record: &Record) {
        let of = |text: &Option<String>| text.as_deref().map(escape_untrusted);
        let parts = [
            of(&record.device_id),
            of(&record.secret),
            of(&record.reason),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        messages::warn(parts.join(": "));
    }

    fn ask_user(&mut self, prompt: Prompt) {
        let context = self.context.clone();
        let question = report::question(&prompt);
        let id = prompt.id;
        let task = self.prompts.spawn(async move {
            let is_allowed = context.questions.ask(&context.asker, question).await;
            Answered {
                prompt: prompt.id,
                allowed: if is_allowed { prompt.names } else { Vec::new() },
            }
        });
        self.asked.insert(id, task);
    }

    /// Takes a secret of this name that was asked for and came.
    fn take_received(&mut self, name: &SecretName) -> Result<Option<Delivery>> {
        let mut all = self.device.received_secrets()?;
        let is_wanted = |one: &ReceivedSecret| one.name == *name && !one.is_pushed;
        let Some(position) = all.iter().rposition(is_wanted) else {
            return Ok(None);
        };
        let received = all.swap_remove(position);
        // It would be given again for the next request, which is better than not at all.
        if let Err(error) = self.device.discard_received(&received.id) {
            messages::warn(format_args!(
                "an answer that was handed over could not be deleted: {error}"
            ));
        }
        Ok(Some(Delivery {
            from: received.from,
            standing: received.standing,
            is_conflict: received.is_conflict,
            secret: received.secret,
        }))
    }

    /// Asking is of use only when other devices can know that this one belongs to the user, and this
    /// one can know it of them.
    async fn check_can_ask(&mut self, from: Option<&str>) -> Result<()> {
        let checked = self.device.check_can_ask(&self.context.account, from);
        checked.await.map_err(|error| match error {
            DeviceError::CannotAsk(cannot) => cannot_ask(*cannot, from),
            error => error.into(),
        })
    }
}

fn cannot_ask(error: CannotAsk, from: Option<&str>) -> Error {
    match error {
        CannotAsk::Nobody => Error::refused(error).hint("fourfold device ls shows them"),
        CannotAsk::NotTrusted(verdict) => {
            let id = escape_untrusted(from.unwrap_or_default());
            let message = format!("the device {id} is not trusted: {verdict}");
            Error::new(Exit::NotVerified, message).hint("fourfold device ls shows them")
        }
        CannotAsk::NotPinned => Error::new(Exit::NotVerified, error).hint(
            "verify first: fourfold device verify; or, when the master key is not in secret storage, \
             compare emoji with another device of yours: fourfold device verify DEVICE",
        ),
        CannotAsk::Alarm(alarm) => {
            Error::new(Exit::NotVerified, error).hint(hints::after_alarm(&alarm))
        }
        _ => Error::new(Exit::NotVerified, error).hint("verify first: fourfold device verify"),
    }
}

impl<S> Drop for Exchange<S> {
    /// Reports what was omitted before that is forgotten.
    fn drop(&mut self) {
        for (_, record) in self.sieve.left_out_so_far() {
            if let Err(error) = self.context.audit.write(record) {
                messages::warn(error.message);
            }
        }
    }
}

/// The long-poll timeout of a sync.
const LONG_POLL: Duration = Duration::from_secs(30);

/// Tasks that keep being due are not done more often than this.
const MIN_PAUSE: Duration = Duration::from_millis(100);

const MAX_PAUSE: Duration = Duration::from_secs(30);
