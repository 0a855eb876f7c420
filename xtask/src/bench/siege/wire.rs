//! HTTP over sockets of our own: each party comes from an address of its own on loopback, and may stop
//! in the middle of whatever it does.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use serde_json::Value;

use crate::failure::Failure;

/// How long an answer may take before the siege counts it as none.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection that is kept.
#[derive(Debug)]
pub(super) struct Wire {
    from: Ipv4Addr,
    to: SocketAddrV4,
    open: Option<BufReader<TcpStream>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Opens a connection from an address of this machine.
pub(super) fn open(from: Ipv4Addr, to: SocketAddrV4) -> io::Result<TcpStream> {
    let stream = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&stream, &SocketAddrV4::new(from, 0))?;
    connect(&stream, &to)?;
    let stream = TcpStream::from(stream);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The text of a request.
pub(super) fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> String {
    let token = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let length = body.len();
    format!(
        "{method} /_matrix/client/v3{path} HTTP/1.1\r\nHost: siege\r\n{token}Content-Length: \
         {length}\r\n\r\n{body}"
    )
}

impl Wire {
    pub(super) fn new(from: Ipv4Addr, to: SocketAddrV4) -> Self {
        Self {
            from,
            to,
            open: None,
        }
    }

    /// Sends a request and reads its answer. A connection that the server ended before is opened anew.
    pub(super) fn send(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: &str,
    ) -> Result<Answer, Failure> {
        let text = request(method, path, token, body);
        let reused = self.open.is_some();
        let answered = self.exchange(&text);
        let answered = match answered {
            Err(_) if reused => self.exchange(&text),
            answered => answered,
        };
        answered.map_err(|error| Failure::Check(format!("{method} {path}: {error}")))
    }

    fn exchange(&mut self, text: &str) -> io::Result<Answer> {
        let mut stream = match self.open.take() {
            Some(stream) => stream,
            None => BufReader::new(open(self.from, self.to)?),
        };
        stream.get_mut().write_all(text.as_bytes())?;
        let (answer, is_last) = read(&mut stream)?;
        if !is_last {
            self.open = Some(stream);
        }
        Ok(answer)
    }
}

/// Reads one answer; whether the connection ends after it.
fn read(stream: &mut BufReader<TcpStream>) -> io::Result<(Answer, bool)> {
    let head = line(stream)?;
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
    let status = status.ok_or_else(|| broken("no status"))?;
    let (mut length, mut is_chunked, mut is_last) = (0, false, false);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        match (name, value.trim()) {
            ("content-length", value) => {
                length = value.parse().map_err(|_| broken("no length"))?;
            }
            ("transfer-encoding", "chunked") => is_chunked = true,
            ("connection", "close") => is_last = true,
            _ => {}
        }
    }
    let mut body = Vec::new();
    if is_chunked {
        loop {
            let size = line(stream)?;
            let size = usize::from_str_radix(&size, 16).map_err(|_| broken("no chunk"))?;
            take(stream, size, &mut body)?;
            line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else {
        take(stream, length, &mut body)?;
    }
    Ok((Answer { status, body }, is_last))
}

fn line(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn take(stream: &mut BufReader<TcpStream>, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
    let read = stream.take(length as u64).read_to_end(body)?;
    if read == length {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
