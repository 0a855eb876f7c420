//! The socket from the outside: what commands ask the agent for.

use std::io;
use std::path::Path;
use std::time::Duration;

use fourfold::history::Origin;
use fourfold::{AccountData, KeyId, Plan, SecretName, SecretStorageKey, Snapshot, recovery_key};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::agent::address::{Address, own_uid};
use crate::agent::frame::{self, Frame, Payload};
use crate::agent::protocol::{Failure, Hello, Opened, Question, Received, Reply, Request, Status};
use crate::error::{Error, Exit, Result};
use crate::options::{AcceptOptions, Global};
use crate::storage::judged::Compared;
use crate::terminal::messages;
use crate::{runtime, state};

/// A connection to the agent of an account.
pub(crate) struct Agent {
    runtime: tokio::runtime::Runtime,
    stream: UnixStream,
    hello: Hello,
}

impl Agent {
    /// The agent of `--account`, or of the only account there is; `None` when none runs.
    ///
    /// # Errors
    ///
    /// A socket, or a folder of sockets, that is not the user's alone.
    pub(crate) fn find(global: &Global) -> Result<Option<Self>> {
        let folder = state::folder(global)?;
        let user_id = state::user_id(global, &folder)?;
        Self::at(&folder, &user_id)
    }

    /// As [`find`](Self::find), for commands that work without an agent too: one that cannot be
    /// reached safely is none.
    pub(crate) fn find_if_safe(global: &Global) -> Result<Option<Self>> {
        let folder = state::folder(global)?;
        let user_id = state::user_id(global, &folder)?;
        let address = Address::of(&folder, &user_id).and_then(|address| {
            let exists = address.exists()?;
            Ok(exists.then_some(address))
        });
        match address {
            Ok(Some(address)) => Self::connect(&address),
            Ok(None) => Ok(None),
            Err(error) => {
                if error.exit == Exit::Policy {
                    messages::warn(&error.message);
                }
                Ok(None)
            }
        }
    }

    /// The agent, or an error that says that none runs.
    pub(crate) fn require(global: &Global) -> Result<Self> {
        Self::find(global)?
            .ok_or_else(|| Error::refused("no agent is running").hint("start one: fourfold agent"))
    }

    /// The agent of an account of a state folder.
    pub(crate) fn at(folder: &Path, user_id: &str) -> Result<Option<Self>> {
        let address = Address::of(folder, user_id)?;
        if address.exists()? {
            Self::connect(&address)
        } else {
            Ok(None)
        }
    }

    fn connect(address: &Address) -> Result<Option<Self>> {
        let runtime = runtime::new()?;
        let connected = runtime.block_on(async {
            let mut stream = UnixStream::connect(address.path()).await?;
            if !stream.peer_cred()?.uid().eq(&own_uid()) {
                return Err(io::Error::other("it belongs to another user"));
            }
            let hello = in_time(frame::receive::<Hello>(&mut stream)).await?;
            Ok((stream, hello))
        });
        let (stream, hello) = match connected {
            // It was killed and left its socket behind.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
            Err(error) => return Err(unreachable(&error)),
            Ok(connected) => connected,
        };
        hello.message.check_version()?;
        Ok(Some(Self {
            runtime,
            stream,
            hello: hello.message,
        }))
    }

    /// The process of the agent.
    pub(crate) fn process(&self) -> u32 {
        self.hello.process
    }

    pub(crate) fn status(&mut self) -> Result<Status> {
        match self.ask(&Request::Status, &[])?.message {
            Reply::Status(status) => Ok(status),
            _ => Err(not_understood()),
        }
    }

    /// Hands over a key that was proven.
    pub(crate) fn unlock(
        &mut self,
        key: &SecretStorageKey,
        lifetime: Option<Duration>,
    ) -> Result<()> {
        let bytes = recovery_key::decode(&key.expose_recovery_key()).map_err(Error::usage)?;
        let request = Request::Unlock {
            key_id: key.id().clone(),
            algorithm: key.algorithm().name().to_owned(),
            lifetime: lifetime.map(|lifetime| lifetime.as_secs()),
        };
        self.do_it(&request, bytes.as_slice())
    }

    pub(crate) fn lock(&mut self) -> Result<()> {
        self.do_it(&Request::Lock, &[])
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        self.do_it(&Request::Stop, &[])
    }

    /// Opens a secret; `None` when the agent has no key for it.
    pub(crate) fn get(
        &mut self,
        name: &SecretName,
        accept: AcceptOptions,
    ) -> Result<Option<(Opened, Zeroizing<String>)>> {
        let name = name.clone();
        let request = Request::Get { name, accept };
        match self.ask_unless_keyless(&request, &[])? {
            None => Ok(None),
            Some(Frame {
                message: Reply::Secret(opened),
                payload,
            }) => Ok(Some((opened, text(payload)?))),
            Some(_) => Err(not_understood()),
        }
    }

    /// The plan that stores a secret under the key of the agent; `None` when it has none. Says what
    /// changed.
    pub(crate) fn seal(
        &mut self,
        name: &SecretName,
        secret: &str,
        accept: AcceptOptions,
        json: bool,
    ) -> Result<Option<Plan>> {
        let name = name.clone();
        let request = Request::Seal { name, accept };
        let Some(first) = self.ask_unless_keyless(&request, secret.as_bytes())? else {
            return Ok(None);
        };
        let (text, compared) = self.document(first)?;
        compared.report(json);
        text.parse().map(Some).map_err(|_| not_understood())
    }

    /// The state at the homeserver, compared with what this machine has seen before.
    pub(crate) fn snapshot(&mut self, accept: AcceptOptions) -> Result<(Snapshot, Compared)> {
        let first = self.ask(&Request::Snapshot { accept }, &[])?;
        let (text, compared) = self.document(first)?;
        let snapshot = Snapshot::from_json(&text).map_err(|_| not_understood())?;
        Ok((snapshot, compared))
    }

    /// Has the agent remember that a key opened a secret; says how this machine knew the entry before.
    pub(crate) fn opened(
        &mut self,
        account_data: &AccountData,
        name: &SecretName,
        key_id: &KeyId,
    ) -> Result<Option<Origin>> {
        let mut of_secret = AccountData::default();
        if let Some(event) = account_data.raw(name.as_str()) {
            let inserted = of_secret.insert_json(name.as_str(), event);
            inserted.map_err(Error::usage)?;
        }
        let (name, key_id) = (name.clone(), key_id.clone());
        let request = Request::Opened { name, key_id };
        match self.ask(&request, of_secret.to_json().as_bytes())?.message {
            Reply::Known { origin } => Ok(origin),
            _ => Err(not_understood()),
        }
    }

    /// Leaves the agent without the local state as long as the value lives.
    pub(crate) fn borrow_state(mut self) -> Result<Loan> {
        self.do_it(&Request::Borrow, &[])?;
        Ok(Loan { _agent: self })
    }

    /// Asks the other devices. The frame that comes in the end is waited for as long as it takes:
    /// the agent keeps the time.
    pub(crate) fn request(
        &mut self,
        name: &SecretName,
        from: Option<&str>,
        timeout: Duration,
    ) -> Result<(Received, Zeroizing<String>)> {
        let request = Request::Ask {
            name: name.clone(),
            from: from.map(str::to_owned),
            timeout: timeout.as_secs(),
        };
        let answer = self.runtime.block_on(async {
            frame::send(&mut self.stream, &request, &[]).await?;
            hung_up(frame::receive::<Reply>(&mut self.stream).await)
        });
        match answer.map_err(|error| unreachable(&error))? {
            Frame {
                message: Reply::Received(received),
                payload,
            } => Ok((received, text(payload)?)),
            Frame {
                message: Reply::Failed(failure),
                ..
            } => Err(failure.into()),
            _ => Err(not_understood()),
        }
    }

    pub(crate) fn questions(&mut self) -> Result<Vec<Question>> {
        match self.ask(&Request::Questions, &[])?.message {
            Reply::Questions { questions } => Ok(questions),
            _ => Err(not_understood()),
        }
    }

    pub(crate) fn answer(&mut self, question: u64, allow: bool) -> Result<()> {
        self.do_it(&Request::Answer { question, allow }, &[])
    }

    fn do_it(&mut self, request: &Request, payload: &[u8]) -> Result<()> {
        match self.ask(request, payload)?.message {
            Reply::Done => Ok(()),
            _ => Err(not_understood()),
        }
    }

    fn ask(&mut self, request: &Request, payload: &[u8]) -> Result<Frame<Reply>> {
        self.exchange(request, payload)?.map_err(Error::from)
    }

    fn ask_unless_keyless(
        &mut self,
        request: &Request,
        payload: &[u8],
    ) -> Result<Option<Frame<Reply>>> {
        match self.exchange(request, payload)? {
            Err(failure) if failure.needs_key => Ok(None),
            answer => Ok(Some(answer.map_err(Error::from)?)),
        }
    }

    fn exchange(
        &mut self,
        request: &Request,
        payload: &[u8],
    ) -> Result<std::result::Result<Frame<Reply>, Failure>> {
        let answer = self.runtime.block_on(async {
            in_time(async {
                frame::send(&mut self.stream, request, payload).await?;
                frame::receive::<Reply>(&mut self.stream).await
            })
            .await
        });
        let frame = answer.map_err(|error| unreachable(&error))?;
        Ok(match frame.message {
            Reply::Failed(failure) => Err(failure),
            message => Ok(Frame {
                message,
                payload: frame.payload,
            }),
        })
    }

    /// The parts of a document put together.
    fn document(&mut self, first: Frame<Reply>) -> Result<(String, Compared)> {
        let mut text = Vec::new();
        let mut part = first;
        let mut of_all = Compared::default();
        loop {
            let Reply::Document { rest, compared } = part.message else {
                return Err(not_understood());
            };
            // The first part has it.
            if text.is_empty() {
                of_all = compared;
            }
            text.extend_from_slice(part.payload.bytes());
            if rest == 0 {
                let text = String::from_utf8(text).map_err(|_| not_understood())?;
                return Ok((text, of_all));
            }
            if text.len() as u64 + rest > MAX_DOCUMENT || part.payload.bytes().is_empty() {
                return Err(not_understood());
            }
            part = self
                .runtime
                .block_on(in_time(frame::receive::<Reply>(&mut self.stream)))
                .map_err(|error| unreachable(&error))?;
        }
    }
}

/// The local state, for a command that needs it itself. The agent goes on when it is dropped.
pub(crate) struct Loan {
    _agent: Agent,
}

async fn in_time<T>(
    work: impl Future<Output = io::Result<Option<Frame<T>>>>,
) -> io::Result<Frame<T>> {
    timeout(TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .and_then(|frame| hung_up(Ok(frame)))
}

fn hung_up<T>(frame: io::Result<Option<Frame<T>>>) -> io::Result<Frame<T>> {
    frame?.ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"))
}

fn unreachable(error: &io::Error) -> Error {
    Error::new(Exit::Network, format!("the agent does not answer: {error}"))
}

/// Bytes that are not text are not a secret, and must not be taken for an empty one.
fn text(payload: Payload) -> Result<Zeroizing<String>> {
    payload.into_text().ok_or_else(not_understood)
}

fn not_understood() -> Error {
    Error::new(Exit::Network, "the answer of the agent is malformed")
        .hint("stop it and start it again")
}

/// The agent asks the homeserver, which may take its time.
const TIMEOUT: Duration = Duration::from_secs(120);

/// More than a homeserver stores for a user.
const MAX_DOCUMENT: u64 = 256 * 1024 * 1024;
