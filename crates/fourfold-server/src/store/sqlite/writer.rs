//! The one thread that writes, and group commit.
//!
//! Writes queue up while a commit waits for the disk; the next transaction takes all of them, one
//! commit makes all of them durable, and then each is answered. One writer alone pays one sync of
//! the disk a write; 32 writers share it. Nothing is delayed in the hope of company. A large write, one
//! that may take many times what others do, has a transaction of its own, and what else waits comes
//! before it.
//!
//! A write is answered after three things, in this order: the commit is on the disk, the cache shows
//! it, and, with the answer, the watchers are woken.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::{mpsc, oneshot};

use super::batch::{Batch, Committed};
use super::cache::Cache;
use super::checkpoints::Checkpoints;
use super::errors::{WriteError, refused};
use crate::store::{StoreError, Wakeups};

/// The door to the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: mpsc::Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. What moves the log into the file ends with it.
    pub(super) fn start(
        mut connection: Connection,
        checkpoints: Option<Checkpoints>,
        cache: Arc<Cache>,
        wakeups: Arc<Wakeups>,
    ) -> Result<Self, std::io::Error> {
        let (queue, jobs) = mpsc::channel(MAX_QUEUE);
        let thread = std::thread::Builder::new()
            .name("fourfold-writer".to_owned())
            .spawn(move || {
                let desk = Desk {
                    connection: &connection,
                    cache: &cache,
                    wakeups: &wakeups,
                    broken: Cell::new(false),
                };
                run(&desk, jobs);
                if let Some(checkpoints) = checkpoints {
                    checkpoints.stop(&mut connection);
                }
            })?;
        Ok(Self {
            queue,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Runs `work` inside the next transaction and returns once it is durable.
    ///
    /// `work` may run twice: when another write of its transaction breaks, each runs again alone. A
    /// refusal must come before its first change.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Batch<'_>) -> Result<T, WriteError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Pending::new(work, Some(reply));
        self.send(Message::Job(job), answer).await
    }

    /// Runs `work` as [`write`](Self::write) does, in a transaction of its own.
    pub(super) async fn write_large<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Batch<'_>) -> Result<T, WriteError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Pending::new(work, Some(reply));
        self.send(Message::LargeJob(job), answer).await
    }

    async fn send<T>(
        &self,
        message: Message,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let sent = self.queue.send(message).await;
        sent.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Queues `work` and returns before it is done. A failure is not reported.
    pub(super) async fn post<F>(&self, work: F) -> Result<(), StoreError>
    where
        F: FnMut(&mut Batch<'_>) -> Result<(), WriteError> + Send + 'static,
    {
        let job = Pending::new(work, None);
        let queued = self.queue.send(Message::Job(job)).await;
        queued.map_err(|_| StoreError::Closed)
    }

    /// Finishes what is queued and ends the thread.
    pub(super) async fn close(&self) {
        // An error means that the thread has ended already.
        let _ = self.queue.send(Message::Close).await;
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("the writer thread failed");
            }
        }
    }
}

enum Message {
    Job(Box<dyn Job>),
    LargeJob(Box<dyn Job>),
    Close,
}

trait Job: Send {
    /// Does the work inside the transaction and keeps the outcome.
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), rusqlite::Error>;

    /// Sends the outcome, or the error that undid it, to the caller that waits.
    fn answer(&mut self, undone: Option<StoreError>);
}

struct Pending<T, F> {
    work: F,
    outcome: Option<Result<T, StoreError>>,
    reply: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl<T, F> Pending<T, F> {
    fn new(work: F, reply: Option<oneshot::Sender<Result<T, StoreError>>>) -> Box<Self> {
        Box::new(Self {
            work,
            outcome: None,
            reply,
        })
    }
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Batch<'_>) -> Result<T, WriteError> + Send,
{
    fn run(&mut self, batch: &mut Batch<'_>) -> Result<(), rusqlite::Error> {
        self.outcome = Some(match (self.work)(batch) {
            Ok(value) => Ok(value),
            Err(WriteError::Refused(error)) => Err(error),
            Err(WriteError::Database(error)) => return Err(error),
        });
        Ok(())
    }

    fn answer(&mut self, undone: Option<StoreError>) {
        let Some(reply) = self.reply.take() else {
            return;
        };
        let outcome = match undone {
            Some(error) => Err(error),
            None => self.outcome.take().unwrap_or(Err(StoreError::Closed)),
        };
        // The client may have disconnected. The write is kept.
        let _ = reply.send(outcome);
    }
}

/// The state of the thread.
struct Desk<'a> {
    connection: &'a Connection,
    cache: &'a Cache,
    wakeups: &'a Wakeups,
    /// Whether the last transaction broke.
    broken: Cell<bool>,
}

fn run(desk: &Desk<'_>, mut queue: mpsc::Receiver<Message>) {
    let (mut jobs, mut large) = (Vec::new(), VecDeque::new());
    let mut is_open = true;
    while is_open || !large.is_empty() {
        while is_open && jobs.len() < MAX_BATCH {
            let is_idle = jobs.is_empty() && large.is_empty();
            let next = if is_idle {
                queue.blocking_recv().ok_or(TryRecvError::Disconnected)
            } else {
                queue.try_recv()
            };
            match next {
                Ok(Message::Job(job)) => jobs.push(job),
                Ok(Message::LargeJob(job)) => large.push_back(job),
                Ok(Message::Close) | Err(TryRecvError::Disconnected) => is_open = false,
                Err(TryRecvError::Empty) => break,
            }
        }
        if !jobs.is_empty() {
            desk.commit_together(&mut jobs);
            jobs.clear();
        }
        if let Some(mut job) = large.pop_front() {
            desk.commit_together(std::slice::from_mut(&mut job));
        }
    }
}

impl Desk<'_> {
    /// One transaction for all jobs; when it breaks, one for each, so that one bad write does not
    /// take its neighbours with it.
    fn commit_together(&self, jobs: &mut [Box<dyn Job>]) {
        let error = match self.transact(jobs) {
            Ok(committed) => {
                for effect in committed.effects {
                    self.cache.apply(effect);
                }
                for job in jobs {
                    job.answer(None);
                }
                for user in &committed.wake {
                    self.wakeups.wake(user);
                }
                return;
            }
            Err(error) => error,
        };
        if let [job] = jobs {
            self.note_broken(&error);
            job.answer(Some(refused(error)));
        } else {
            tracing::debug!(%error, writes = jobs.len(), "a transaction failed; each write is \
                                                          tried alone");
            for job in jobs {
                self.commit_together(std::slice::from_mut(job));
            }
        }
    }

    fn transact(&self, jobs: &mut [Box<dyn Job>]) -> Result<Committed, rusqlite::Error> {
        let connection = self.connection;
        self.roll_back()?;
        let before = connection.total_changes();
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut batch = Batch::new(connection, self.cache, jobs.len());
        let result = jobs
            .iter_mut()
            .try_for_each(|job| job.run(&mut batch))
            .and_then(|()| batch.write_counters())
            .and_then(|()| connection.prepare_cached("COMMIT")?.execute([]).map(drop));
        if let Err(error) = result {
            // When this breaks as well, the next transaction tries it again before it begins.
            if let Err(error) = self.roll_back() {
                tracing::debug!(%error, "a transaction could not be rolled back");
            }
            return Err(error);
        }
        if connection.total_changes() != before && self.broken.replace(false) {
            tracing::info!("the database accepts writes again");
        }
        Ok(batch.committed())
    }

    /// Ends a transaction that broke. SQLite has done so by itself after some errors.
    fn roll_back(&self) -> Result<(), rusqlite::Error> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch("ROLLBACK")
    }

    /// Says once that writes break, until one succeeds: a full disk would fill with the log.
    fn note_broken(&self, error: &rusqlite::Error) {
        if !self.broken.replace(true) {
            let code = error.sqlite_extended_error_code();
            tracing::error!(%error, code, "the database accepts no writes; each is refused until \
                                           it does");
        }
    }
}

/// Writes that may wait; the next ones wait before the queue. Bounds the memory, but not of large
/// writes, which wait at the writer: those are bounded by what the bodies of requests may take.
const MAX_QUEUE: usize = 1024;

/// Writes in one transaction.
const MAX_BATCH: usize = 512;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use super::*;

    /// Queues a write, and leaves it at that.
    async fn begin<F: Future>(mut write: Pin<&mut F>) {
        poll_fn(|context| {
            assert!(write.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    // shows: SRV-11
    #[tokio::test]
    async fn large_writes_come_after_what_else_waits_and_one_at_a_time() {
        let mut connection = Connection::open_in_memory().unwrap();
        super::super::schema::migrate(&mut connection).unwrap();
        let writer =
            Writer::start(connection, None, Arc::new(Cache::new(0)), Wakeups::new()).unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let order = Arc::clone(&order);
            move |_: &mut Batch<'_>| {
                order.lock().unwrap().push(name);
                Ok(())
            }
        };
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let mut first = pin!(writer.write(move |_| {
            gone.recv().unwrap();
            Ok(())
        }));
        let mut large = [
            pin!(writer.write_large(note("large 1"))),
            pin!(writer.write_large(note("large 2"))),
        ];
        let mut small = [
            pin!(writer.write(note("small 1"))),
            pin!(writer.write(note("small 2"))),
        ];
        begin(first.as_mut()).await;
        for write in &mut large {
            begin(write.as_mut()).await;
        }
        for write in &mut small {
            begin(write.as_mut()).await;
        }
        go.send(()).unwrap();
        first.await.unwrap();
        // Closing finishes what is queued.
        writer.close().await;
        for write in large {
            write.await.unwrap();
        }
        for write in small {
            write.await.unwrap();
        }
        assert_eq!(
            *order.lock().unwrap(),
            ["small 1", "small 2", "large 1", "large 2"]
        );
    }
}
