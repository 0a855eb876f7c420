//! The socket from the inside: who may connect, how many, and how long they may take.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use crate::agent::address::own_uid;
use crate::agent::frame::{self, Frame, MAX_FRAME};
use crate::agent::protocol::{Hello, Reply, Request};
use crate::storage::judged::Compared;

/// The handler of requests of commands.
pub(crate) trait Service: Send + Sync + 'static {
    /// Answers one request. Dropped in the middle when the command hangs up.
    fn call(&self, frame: Frame<Request>) -> impl Future<Output = Answer> + Send;
}

/// The response to a command.
pub(crate) enum Answer {
    Reply(Reply),
    /// A reply with a secret beside it.
    Secret(Reply, Zeroizing<String>),
    /// A long text, in parts.
    Document {
        text: String,
        compared: Compared,
    },
    /// "Done", and then this is kept until the command hangs up.
    Hold(Box<dyn Send>),
}

/// Serves everybody of this user who connects, until it is dropped.
pub(crate) async fn serve(listener: UnixListener, hello: Hello, service: Arc<impl Service>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let hello = Arc::new(hello);
    loop {
        // A client that connects when all slots are taken waits in the queue of the kernel.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((mut stream, _)) = listener.accept().await else {
            // Too many open files, which passes.
            sleep(PAUSE).await;
            continue;
        };
        if !is_own(&stream) {
            continue;
        }
        let (hello, service) = (Arc::clone(&hello), Arc::clone(&service));
        tokio::spawn(async move {
            // An error is one of the other side, which knows of it already.
            let _ = converse(&mut stream, &hello, &*service).await;
            drop(place);
        });
    }
}

/// Returns `true` if the process on the other side runs as this user.
fn is_own(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own_uid())
}

async fn converse(
    stream: &mut UnixStream,
    hello: &Hello,
    service: &impl Service,
) -> Result<(), io::Error> {
    in_time(frame::send(stream, hello, &[])).await?;
    while let Some(request) = in_time(frame::receive(stream)).await? {
        let answer = tokio::select! {
            answer = service.call(request) => answer,
            // Nobody is to say anything before the answer: anyone who does is treated as gone.
            _ = stream.read_u8() => return Ok(()),
        };
        match answer {
            Answer::Reply(reply) => in_time(frame::send(stream, &reply, &[])).await?,
            Answer::Secret(reply, secret) => {
                in_time(frame::send(stream, &reply, secret.as_bytes())).await?;
            }
            Answer::Document { text, compared } => send_document(stream, &text, compared).await?,
            Answer::Hold(held) => {
                in_time(frame::send(stream, &Reply::Done, &[])).await?;
                let _ = stream.read_u8().await;
                drop(held);
                return Ok(());
            }
        }
    }
    stream.shutdown().await
}

async fn send_document(
    stream: &mut UnixStream,
    text: &str,
    mut compared: Compared,
) -> Result<(), io::Error> {
    let mut rest = text.as_bytes();
    loop {
        let (part, after) = rest.split_at(rest.len().min(MAX_PART));
        let reply = Reply::Document {
            rest: after.len() as u64,
            compared: std::mem::take(&mut compared),
        };
        in_time(frame::send(stream, &reply, part)).await?;
        rest = after;
        if rest.is_empty() {
            return Ok(());
        }
    }
}

/// Nobody occupies a place by saying nothing, or by not listening.
async fn in_time<T>(work: impl Future<Output = Result<T, io::Error>>) -> Result<T, io::Error> {
    timeout(TIMEOUT, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The maximum number of connections. With one frame each, this bounds the memory.
const MAX_CONNECTIONS: usize = 32;

/// The timeout of a frame.
const TIMEOUT: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(100);

/// The size of a part of a document in one frame.
const MAX_PART: usize = MAX_FRAME / 2;

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::error::Error;
    use crate::options::AcceptOptions;

    /// Counts what is held, and answers in a way for each kind of answer.
    #[derive(Default)]
    struct Echo {
        held: Arc<AtomicUsize>,
    }

    struct Held(Arc<AtomicUsize>);

    impl Held {
        fn new(counter: &Arc<AtomicUsize>) -> Self {
            counter.fetch_add(1, Ordering::SeqCst);
            Self(Arc::clone(counter))
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Service for Echo {
        async fn call(&self, frame: Frame<Request>) -> Answer {
            match frame.message {
                Request::Seal { .. } => Answer::Secret(
                    Reply::Done,
                    Zeroizing::new(frame.payload.text().unwrap().to_owned()),
                ),
                Request::Snapshot { .. } => Answer::Document {
                    text: "x".repeat(MAX_PART * 2 + 1),
                    compared: Compared::of_one(),
                },
                Request::Borrow => Answer::Hold(Box::new(Held::new(&self.held))),
                Request::Ask { .. } => {
                    let _held = Held::new(&self.held);
                    std::future::pending().await
                }
                _ => Answer::Reply(Reply::Failed(Error::refused("no").into())),
            }
        }
    }

    /// A socket with somebody who answers.
    struct Fixture {
        path: PathBuf,
        held: Arc<AtomicUsize>,
        _folder: tempfile::TempDir,
    }

    impl Fixture {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket");
            let listener = UnixListener::bind(&path).unwrap();
            let echo = Echo::default();
            let held = Arc::clone(&echo.held);
            let hello = Hello {
                version: 7,
                user_id: "@alice:localhost".to_owned(),
                process: 1,
            };
            tokio::spawn(serve(listener, hello, Arc::new(echo)));
            Self {
                path,
                held,
                _folder: folder,
            }
        }

        async fn connect(&self) -> UnixStream {
            let mut stream = UnixStream::connect(&self.path).await.unwrap();
            let hello: Frame<Hello> = frame::receive(&mut stream).await.unwrap().unwrap();
            assert_eq!(hello.message.version, 7);
            stream
        }

        async fn until_held(&self, number: usize) {
            while self.held.load(Ordering::SeqCst) != number {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn ask(stream: &mut UnixStream, request: &Request, payload: &[u8]) -> Frame<Reply> {
        frame::send(stream, request, payload).await.unwrap();
        frame::receive(stream).await.unwrap().unwrap()
    }

    fn request() -> Request {
        serde_json::from_str(r#"{"request": "ask", "name": "a", "from": null, "timeout": 60}"#)
            .unwrap()
    }

    #[tokio::test]
    async fn several_requests_on_one_connection() {
        let fixture = Fixture::start();
        let mut stream = fixture.connect().await;
        let seal = serde_json::from_str(r#"{"request": "seal", "name": "a"}"#).unwrap();
        let reply = ask(&mut stream, &seal, b"secret").await;
        assert_eq!(reply.payload.bytes(), b"secret");
        let reply = ask(&mut stream, &Request::Lock, &[]).await;
        assert!(matches!(reply.message, Reply::Failed(_)));
        let mut document = 0;
        let accept = AcceptOptions::default();
        frame::send(&mut stream, &Request::Snapshot { accept }, &[])
            .await
            .unwrap();
        loop {
            let part: Frame<Reply> = frame::receive(&mut stream).await.unwrap().unwrap();
            let Reply::Document { rest, compared } = part.message else {
                panic!("not a document");
            };
            assert_eq!(compared.in_json().is_empty(), document > 0);
            document += part.payload.bytes().len();
            if rest == 0 {
                break;
            }
        }
        assert_eq!(document, MAX_PART * 2 + 1);
    }

    #[tokio::test]
    async fn hanging_up_ends_what_was_asked_and_gives_back_what_was_lent() {
        let fixture = Fixture::start();
        let mut asking = fixture.connect().await;
        frame::send(&mut asking, &request(), &[]).await.unwrap();
        fixture.until_held(1).await;
        let mut borrowing = fixture.connect().await;
        let reply = ask(&mut borrowing, &Request::Borrow, &[]).await;
        assert!(matches!(reply.message, Reply::Done));
        assert_eq!(fixture.held.load(Ordering::SeqCst), 2);
        drop(asking);
        fixture.until_held(1).await;
        drop(borrowing);
        fixture.until_held(0).await;
    }

    #[tokio::test]
    async fn garbage_ends_the_connection_and_nothing_else() {
        let fixture = Fixture::start();
        for garbage in [
            b"GET / HTTP/1.1\r\n\r\n".as_slice(),
            &[0, 0, 0, 2, 0, 0, 0, 0, b'{', b'}'],
            &[0xff; 64],
        ] {
            let mut stream = fixture.connect().await;
            stream.write_all(garbage).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            assert_eq!(rest, b"", "garbage is not answered");
        }
        let mut stream = fixture.connect().await;
        ask(&mut stream, &Request::Lock, &[]).await;
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_half_a_thing_or_nothing_loses_the_place() {
        let fixture = Fixture::start();
        let mut idle = Vec::new();
        for number in 0..MAX_CONNECTIONS {
            let mut stream = fixture.connect().await;
            if number % 2 == 0 {
                stream.write_all(&[0, 0, 0]).await.unwrap();
            }
            idle.push(stream);
        }
        // All places are taken. The clock of the test jumps to the end of the timeout.
        let mut stream = fixture.connect().await;
        ask(&mut stream, &Request::Lock, &[]).await;
        drop(idle);
    }

    #[tokio::test]
    async fn thousands_of_connections_are_served_a_few_at_a_time() {
        let fixture = Fixture::start();
        for _ in 0..2000 {
            drop(fixture.connect().await);
        }
        let mut stream = fixture.connect().await;
        ask(&mut stream, &Request::Lock, &[]).await;
    }
}
