//! What unit tests share: a homeserver that answers from a script.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use fourfold::rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::transport::RecordedPauses;
use crate::{AccessToken, Account, Error, Homeserver, Options, Session};

/// Texts that must never appear in any output.
pub(crate) const TOKEN: &str = "syt_canary_token";
/// Whose account it is.
pub(crate) const USER: &str = "@alice:example.org";

/// A server that answers from a script, and remembers what it was asked.
pub(crate) struct Server {
    pub(crate) base_url: String,
    received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    /// The path and the query.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// The behaviour of the server for a request.
pub(crate) enum Reply {
    /// Closes the connection without a word.
    Drop,
    /// Sends this, and then `x` forever.
    Endless(String),
    /// Sends this and keeps the connection open.
    Hang(String),
    /// Answers properly.
    Http(u16, Vec<(&'static str, String)>, String),
    /// Sends this and closes the connection.
    Raw(Vec<u8>),
}

impl Reply {
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        Self::Http(status, Vec::new(), body.into())
    }

    pub(crate) fn error(status: u16, errcode: &str) -> Self {
        Self::json(
            status,
            format!(r#"{{"errcode":"{errcode}","error":"words"}}"#),
        )
    }

    pub(crate) fn html(status: u16) -> Self {
        let headers = vec![("content-type", "text/html".to_owned())];
        Self::Http(
            status,
            headers,
            "<html>\u{1b}[2JCANARY PAGE</html>".to_owned(),
        )
    }
}

impl Server {
    pub(crate) async fn start(script: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let script = Arc::new(Mutex::new(script));
        let log = Arc::clone(&received);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                tokio::spawn(async move {
                    // A client that went away is none of the server's business.
                    let _ = serve(stream, &script, &log).await;
                });
            }
        });
        Self {
            base_url,
            received,
            task,
        }
    }

    /// Answers the requests with these, one after the other, and with 500 after that.
    pub(crate) async fn scripted(replies: impl IntoIterator<Item = Reply>) -> Self {
        let mut replies = replies.into_iter().collect::<Vec<_>>().into_iter();
        Self::start(move |_| replies.next().unwrap_or_else(|| Reply::json(500, ""))).await
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Closes the port.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }

    /// The address as a server name: `127.0.0.1:…`.
    pub(crate) fn server_name(&self) -> &str {
        self.base_url.strip_prefix("http://").unwrap()
    }

    /// The homeserver, without waiting between attempts.
    pub(crate) fn homeserver(&self, options: &Options) -> (Homeserver, RecordedPauses) {
        let pauses = RecordedPauses::recorded();
        let mut homeserver = Homeserver::new(&self.base_url, options).unwrap();
        homeserver.transport = homeserver.transport.with_pauses(pauses.clone());
        (homeserver, pauses)
    }

    pub(crate) fn account(&self, options: &Options) -> (Account, RecordedPauses) {
        let (homeserver, pauses) = self.homeserver(options);
        let account = homeserver.account(session(&self.base_url)).unwrap();
        (account, pauses)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn session(homeserver: &str) -> Session {
    let device_id = Some("DEVICE".to_owned());
    Session::new(homeserver, USER, device_id, AccessToken::new(TOKEN))
}

/// Options with which a call is attempted once.
pub(crate) fn once() -> Options {
    Options {
        attempts: 1,
        ..Options::default()
    }
}

/// Everything that an error would show to somebody.
pub(crate) fn all_texts(error: &Error) -> String {
    let mut texts = format!("{error} {error:?} {error:#?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        texts += &format!(" {error} {error:?}");
        cause = error.source();
    }
    texts
}

/// Undoes percent-encoding, independently of the code that does it.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

/// The account data of a server that does what it should.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store(pub(crate) Arc<Mutex<BTreeMap<String, String>>>);

impl Store {
    pub(crate) fn answer(&self, request: &Received) -> Reply {
        let event_type = percent_decode(request.target.rsplit('/').next().unwrap());
        let mut events = self.0.lock().unwrap();
        match request.method.as_str() {
            "PUT" => {
                events.insert(event_type, request.body.clone());
                Reply::json(200, "{}")
            }
            _ => match events.get(&event_type) {
                Some(content) => Reply::json(200, content),
                None => Reply::error(404, "M_NOT_FOUND"),
            },
        }
    }

    pub(crate) fn account_data(&self) -> fourfold::AccountData {
        let mut account_data = fourfold::AccountData::default();
        for (event_type, content) in &*self.0.lock().unwrap() {
            account_data.insert_json(event_type, content).unwrap();
        }
        account_data
    }

    pub(crate) fn set(&self, account_data: &fourfold::AccountData) {
        *self.0.lock().unwrap() = account_data
            .event_types()
            .map(|event_type| {
                let content = account_data.raw(event_type).unwrap();
                (event_type.to_owned(), content.to_owned())
            })
            .collect();
    }
}

/// Random numbers that are the same in every run.
pub(crate) struct Fixed(pub(crate) u64);

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Infallible> {
        for chunk in destination.chunks_mut(32) {
            self.0 += 1;
            let block = Sha256::digest(self.0.to_le_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

async fn serve(
    mut stream: TcpStream,
    script: &Mutex<impl FnMut(&Received) -> Reply>,
    log: &Mutex<Vec<Received>>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = receive(&mut stream, &mut buffer).await? {
        log.lock().unwrap().push(request.clone());
        let reply = (script.lock().unwrap())(&request);
        match reply {
            Reply::Drop => return Ok(()),
            Reply::Endless(head) => {
                stream.write_all(head.as_bytes()).await?;
                loop {
                    stream.write_all(&[b'x'; 65536]).await?;
                }
            }
            Reply::Hang(head) => {
                stream.write_all(head.as_bytes()).await?;
                std::future::pending::<()>().await;
            }
            Reply::Http(status, headers, body) => {
                let mut answer =
                    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    answer += &format!("{name}: {value}\r\n");
                }
                answer += "\r\n";
                answer += &body;
                stream.write_all(answer.as_bytes()).await?;
            }
            Reply::Raw(bytes) => return stream.write_all(&bytes).await,
        }
    }
    Ok(())
}

/// Reads one request; `None` when the client is done.
async fn receive(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> std::io::Result<Option<Received>> {
    loop {
        if let Some(request) = parse(buffer) {
            return Ok(Some(request));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
        if buffer.first() == Some(&TLS_HANDSHAKE) {
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await?;
            return Ok(None);
        }
    }
}

const TLS_HANDSHAKE: u8 = 22;

/// Takes a request off the front of the buffer, if it is complete.
fn parse(buffer: &mut Vec<u8>) -> Option<Received> {
    let head_end = buffer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let mut request_line = lines.next().unwrap().split(' ');
    let headers: BTreeMap<_, _> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let body = buffer.get(head_end + 4..head_end + 4 + length)?.to_vec();
    buffer.drain(..head_end + 4 + length);
    Some(Received {
        method: request_line.next().unwrap().to_owned(),
        target: request_line.next().unwrap().to_owned(),
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
