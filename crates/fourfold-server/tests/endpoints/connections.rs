//! Over real sockets: start, stop, and clients that do not behave.

use std::net::SocketAddr;
use std::time::Duration;

use fourfold_server::{Config, Server, StartError};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
#[cfg(target_os = "linux")]
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::under_test::config;

/// Long enough for a slow machine; no test waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(folder: &TempDir) -> Self {
        Self::start_with(config(folder)).await
    }

    pub(crate) async fn start_with(config: Config) -> Self {
        let server = Server::bind(config).await.unwrap();
        let address = server.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(server.run(async { drop(stopped.await) }));
        Self {
            address,
            stop,
            task,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

/// A connection that speaks just enough HTTP.
pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// Connects from another address of this machine, which has many where it runs Linux.
    #[cfg(target_os = "linux")]
    pub(crate) async fn open_from(source: [u8; 4], address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((source, 0).into()).unwrap();
        Self(socket.connect(address).await.unwrap())
    }

    pub(crate) async fn write(&mut self, text: &str) -> std::io::Result<()> {
        self.0.write_all(text.as_bytes()).await
    }

    /// One answer with its head; an error when the connection ended first.
    pub(crate) async fn read(&mut self) -> std::io::Result<(u16, String, String)> {
        let mut bytes = Vec::new();
        let end = loop {
            let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            match end {
                Some(end) => break end,
                None => self.more(&mut bytes).await?,
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let named = name.eq_ignore_ascii_case("content-length");
            named.then(|| value.trim().parse::<usize>().unwrap())
        });
        while bytes.len() < end + 4 + length.unwrap_or(0) {
            self.more(&mut bytes).await?;
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
        Ok((status, head, body))
    }

    async fn more(&mut self, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        match timeout(PATIENCE, self.0.read_buf(bytes)).await.unwrap()? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The body of an answer that comes in chunks.
    pub(crate) async fn chunks(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n0\r\n\r\n") {
            self.more(&mut bytes).await.unwrap();
        }
        let text = String::from_utf8(bytes).unwrap();
        let (_, mut rest) = text.split_once("\r\n\r\n").unwrap();
        let mut body = String::new();
        loop {
            let (length, chunk) = rest.split_once("\r\n").unwrap();
            let length = usize::from_str_radix(length, 16).unwrap();
            if length == 0 {
                return body;
            }
            body.push_str(&chunk[..length]);
            rest = &chunk[length + 2..];
        }
    }

    /// The status of an answer, of which no more is read than that takes.
    pub(crate) async fn status(&mut self) -> u16 {
        let mut line = [0; 12];
        let read = self.0.read_exact(&mut line);
        timeout(PATIENCE, read).await.unwrap().unwrap();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: &str,
    ) -> std::io::Result<(u16, String, String)> {
        self.write(&request(method, path, token, body)).await?;
        self.read().await
    }
}

pub(crate) fn request(method: &str, path: &str, token: &str, body: &str) -> String {
    format!(
        "{method} /_matrix/client/v3{path} HTTP/1.1\r\nHost: localhost\r\n\
         Authorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) async fn register(address: SocketAddr, name: &str) -> String {
    let body =
        format!(r#"{{"username":"{name}","password":"p","auth":{{"type":"m.login.dummy"}}}}"#);
    let mut wire = Wire::open(address).await;
    let (status, _, body) = wire.send("POST", "/register", "", &body).await.unwrap();
    assert_eq!(status, 200, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["access_token"].as_str().unwrap().to_owned()
}

async fn next_batch(wire: &mut Wire, token: &str) -> String {
    let (_, _, body) = wire.send("GET", "/sync", token, "").await.unwrap();
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["next_batch"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_second_server_on_the_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let running = Running::start(&folder).await;
    let refused = Server::bind(config(&folder)).await;
    assert!(
        matches!(refused, Err(StartError::InUse { .. })),
        "{refused:?}"
    );
    running.stop().await;
    Running::start(&folder).await.stop().await;
}

#[tokio::test]
async fn a_folder_belongs_to_one_server_name_and_one_user_of_the_machine() {
    let folder = TempDir::new().unwrap();
    Running::start(&folder).await.stop().await;
    let mut other = config(&folder);
    other.server_name = "elsewhere".to_owned();
    let refused = Server::bind(other).await.unwrap_err();
    assert!(refused.to_string().contains("localhost"), "{refused}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path().join("data"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[tokio::test]
async fn bad_names_and_taken_ports_are_told_apart() {
    let folder = TempDir::new().unwrap();
    let mut bad = config(&folder);
    bad.server_name = "not a name".to_owned();
    assert!(matches!(
        Server::bind(bad).await,
        Err(StartError::ServerName)
    ));
    let running = Running::start(&folder).await;
    let second = TempDir::new().unwrap();
    let mut taken = config(&second);
    taken.network.bind = running.address;
    assert!(matches!(
        Server::bind(taken).await,
        Err(StartError::Bind { .. })
    ));
    running.stop().await;
}

#[tokio::test]
async fn stopping_answers_open_polls_and_loses_nothing() {
    let folder = TempDir::new().unwrap();
    let running = Running::start(&folder).await;
    let token = register(running.address, "alice").await;
    let mut poll = Wire::open(running.address).await;
    let since = next_batch(&mut poll, &token).await;
    let path = format!("/sync?timeout=60000&since={since}");
    poll.write(&request("GET", &path, &token, ""))
        .await
        .unwrap();
    // One answered after the poll was sent; the poll is being served or will be.
    let mut wire = Wire::open(running.address).await;
    let path = "/user/@alice:localhost/account_data/m.x";
    let (status, _, _) = wire
        .send("PUT", path, &token, r#"{"kept":true}"#)
        .await
        .unwrap();
    assert_eq!(status, 200);
    assert!(poll.read().await.unwrap().2.contains("m.x"));
    poll.write(&request(
        "GET",
        &format!("/sync?timeout=60000&since={since}"),
        &token,
        "",
    ))
    .await
    .unwrap();
    poll.read().await.unwrap();
    let since = next_batch(&mut poll, &token).await;
    poll.write(&request(
        "GET",
        &format!("/sync?timeout=60000&since={since}"),
        &token,
        "",
    ))
    .await
    .unwrap();
    wire.send("GET", "/sync", &token, "").await.unwrap();
    running.stop().await;
    assert_eq!(poll.read().await.unwrap().0, 200);

    let running = Running::start(&folder).await;
    let mut wire = Wire::open(running.address).await;
    let (status, _, body) = wire.send("GET", path, &token, "").await.unwrap();
    assert_eq!((status, &*body), (200, r#"{"kept":true}"#));
    // Tokens of sync outlive the process too.
    let (status, _, _) = wire
        .send("GET", &format!("/sync?since={since}"), &token, "")
        .await
        .unwrap();
    assert_eq!(status, 200);
    running.stop().await;
}

#[tokio::test]
async fn many_requests_on_one_connection_are_answered_in_order() {
    let folder = TempDir::new().unwrap();
    let running = Running::start(&folder).await;
    let token = register(running.address, "alice").await;
    let mut wire = Wire::open(running.address).await;
    for n in 0..20 {
        let path = "/user/@alice:localhost/account_data/m.x";
        let content = format!("{{\"n\":{n}}}");
        assert_eq!(
            wire.send("PUT", path, &token, &content).await.unwrap().0,
            200
        );
        assert_eq!(wire.send("GET", path, &token, "").await.unwrap().2, content);
        // A refused body leaves the connection usable or closed, never confused.
        let unread = wire.send("POST", "/sync", &token, "{}").await.unwrap();
        assert_eq!(unread.0, 405);
        if unread.1.to_ascii_lowercase().contains("connection: close") {
            wire = Wire::open(running.address).await;
        }
    }
    running.stop().await;
}
