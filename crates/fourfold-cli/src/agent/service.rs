//! The agent's service for commands.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fourfold::judged::Judged;
use fourfold::plan::{self, WritingKey};
use fourfold::{
    AccountData, Algorithm, ProvenKey, Secret, SecretName, SecretStorage, SecretStorageKey,
    Snapshot,
};
use tokio::sync::Notify;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::agent::exchange::Context;
use crate::agent::frame::{Frame, Payload};
use crate::agent::listener::{Answer, Service};
use crate::agent::protocol::{Failure, Opened, Received, Reply, Request, Status};
use crate::agent::session::Jobs;
use crate::agent::vault::Vault;
use crate::error::{Error, Exit};
use crate::keys::random::rng;
use crate::memory;
use crate::options::AcceptOptions;
use crate::storage::judged::Compared;
use crate::storage::opening::{self, Provenance};
use crate::storage::unlock;
use crate::terminal::duration;

/// Everything that commands can reach.
pub(crate) struct AgentService {
    pub(crate) vault: Arc<Vault>,
    pub(crate) jobs: Jobs,
    pub(crate) stop: Arc<Notify>,
    pub(crate) context: Context,
}

impl Service for AgentService {
    async fn call(&self, frame: Frame<Request>) -> Answer {
        self.answer(frame)
            .await
            .unwrap_or_else(|failure| Answer::Reply(Reply::Failed(failure)))
    }
}

impl AgentService {
    async fn answer(&self, frame: Frame<Request>) -> Result<Answer, Failure> {
        let done = Ok(Answer::Reply(Reply::Done));
        match frame.message {
            Request::Status => Ok(Answer::Reply(Reply::Status(self.status()))),
            Request::Unlock {
                key_id,
                algorithm,
                lifetime,
            } => {
                let (snapshot, compared) = self.snapshot(AcceptOptions::default()).await?;
                let snapshot = compared.for_opening(*snapshot, None)?;
                memory::leaving_nothing(|| {
                    let key = key_of(key_id, &algorithm, &frame.payload)?;
                    self.unlock(&snapshot, key, lifetime.map(Duration::from_secs))
                })?;
                done
            }
            Request::Lock => {
                self.vault.lock("locked by the user");
                done
            }
            Request::Get { name, accept } => self.get(name, accept).await,
            Request::Seal { name, accept } => self.seal(&name, &frame.payload, accept).await,
            Request::Snapshot { accept } => {
                let (snapshot, compared) = self.snapshot(accept).await?;
                Ok(Answer::Document {
                    text: snapshot.to_json(),
                    compared,
                })
            }
            Request::Opened { name, key_id } => {
                let text = frame
                    .payload
                    .text()
                    .ok_or_else(|| Error::usage("the account data is not text"))?;
                let account_data = AccountData::from_json(text).map_err(Error::usage)?;
                let origin = self.jobs.opened(account_data, name, key_id).await?;
                Ok(Answer::Reply(Reply::Known { origin }))
            }
            Request::Borrow => Ok(Answer::Hold(Box::new(self.jobs.borrow_state().await?))),
            Request::Stop => {
                self.vault.lock("the agent stops");
                self.stop.notify_one();
                done
            }
            Request::Questions => Ok(Answer::Reply(Reply::Questions {
                questions: self.context.questions.all(),
            })),
            Request::Answer { question, allow } => {
                self.context.questions.answer(question, allow)?;
                done
            }
            Request::Ask {
                name,
                from,
                timeout,
            } => self.request(name, from, Duration::from_secs(timeout)).await,
        }
    }

    async fn request(
        &self,
        name: SecretName,
        from: Option<String>,
        limit: Duration,
    ) -> Result<Answer, Failure> {
        let delivery = timeout(limit, self.jobs.request(name, from))
            .await
            .unwrap_or_else(|_| Err(unanswered(limit)))?;
        let secret = Zeroizing::new(delivery.secret.expose_secret().to_owned());
        let received = Received::of(&delivery);
        Ok(Answer::Secret(Reply::Received(received), secret))
    }

    fn status(&self) -> Status {
        let (key_id, locks_in) = self.vault.status().unzip();
        Status {
            user_id: self.context.account.user_id().to_owned(),
            device_id: self.context.account.device_id().map(str::to_owned),
            process: std::process::id(),
            key_id,
            locks_in: locks_in.map(|remaining| remaining.as_millis().div_ceil(1000) as u64),
            in_sync: self.context.in_sync.load(Ordering::Relaxed),
            questions: self.context.questions.all().len(),
        }
    }

    async fn snapshot(&self, accept: AcceptOptions) -> Result<(Box<Snapshot>, Compared), Error> {
        let snapshot = self.context.account.snapshot().await?;
        self.jobs.compare(snapshot, accept).await
    }

    /// Keeps a key only if it is the one that the account describes now.
    fn unlock(
        &self,
        snapshot: &Judged,
        key: SecretStorageKey,
        lifetime: Option<Duration>,
    ) -> Result<(), Error> {
        let key = snapshot
            .storage()
            .prove(key)
            .map_err(|error| Error::new(Exit::WrongKey, error.reason))?;
        self.vault.unlock(key, lifetime)
    }

    async fn get(&self, name: SecretName, accept: AcceptOptions) -> Result<Answer, Failure> {
        if self.vault.status().is_none() {
            return Err(Failure::locked());
        }
        let (snapshot, compared) = self.snapshot(accept).await?;
        let snapshot = compared.for_opening(*snapshot, Some(&name))?;
        let storage = snapshot.storage();
        opening::check_there(&storage, &name)?;
        let opened = self.vault.using(|key| {
            if !storage.is_encrypted_under(&name, key.id()) || !storage.is_current(key) {
                return Err(Failure::needs_key(other_key(&storage, key)));
            }
            Ok(opening::open_for_owner(&snapshot, &name, key.key())?)
        });
        let opened = opened.ok_or_else(Failure::locked)??;
        let account_data = snapshot.account_data.clone();
        let known = self
            .jobs
            .opened(account_data, name.clone(), opened.key_id.clone());
        let opened = opened.known_before(known.await?);
        let provenance = Provenance::of(&opened, &storage, name);
        let secret = Zeroizing::new(opened.secret.expose_secret().to_owned());
        let opened = Opened {
            provenance,
            compared,
        };
        Ok(Answer::Secret(Reply::Secret(opened), secret))
    }

    async fn seal(
        &self,
        name: &SecretName,
        secret: &Payload,
        accept: AcceptOptions,
    ) -> Result<Answer, Failure> {
        if self.vault.status().is_none() {
            return Err(Failure::locked());
        }
        let text = secret
            .text()
            .ok_or_else(|| Error::usage("the secret is not UTF-8 text"))?;
        let secret = Secret::new(text);
        let (snapshot, compared) = self.snapshot(accept).await?;
        let snapshot = compared.for_writing(*snapshot)?;
        let storage = snapshot.storage();
        let plan = self.vault.using(|key| {
            if !storage.writes_by_default(key) {
                return Err(Failure::needs_key(other_key(&storage, key)));
            }
            let keys = [WritingKey::Proven(key)];
            let published_keys = snapshot.published_keys();
            plan::store(&storage, name, &secret, &keys, &published_keys, &mut rng())
                .map_err(|error| Error::from(error).into())
        });
        let plan = plan.ok_or_else(Failure::locked)??;
        Ok(Answer::Document {
            text: serde_json::to_string(&plan).map_err(Error::usage)?,
            compared,
        })
    }
}

/// Nobody answered in time.
pub(crate) fn unanswered(limit: Duration) -> Error {
    Error::refused(format!(
        "no device sent the secret within {}",
        duration::describe(limit)
    ))
    .hint(
        "it may be locked or may not have the secret, or its user declined; devices do not tell \
         which",
    )
}

/// The key that a command hands over, not proven yet.
fn key_of(
    id: fourfold::KeyId,
    algorithm: &str,
    bytes: &Payload,
) -> Result<SecretStorageKey, Error> {
    let algorithm = Algorithm::from_name(algorithm)
        .ok_or_else(|| Error::usage("the algorithm of the key is unknown"))?;
    let bytes: &[u8; 32] = bytes
        .bytes()
        .try_into()
        .map_err(|_| Error::usage("a key has 32 bytes"))?;
    let bytes = Zeroizing::new(*bytes);
    Ok(SecretStorageKey::from_bytes(id, algorithm, bytes))
}

fn other_key(storage: &SecretStorage<'_>, key: &ProvenKey) -> Error {
    Error::new(
        Exit::WrongKey,
        format!(
            "the agent holds a different key than is needed here: {}",
            unlock::label(storage, key.id())
        ),
    )
    .hint("fourfold unlock gives it the default key, or with --key ID another one")
}
