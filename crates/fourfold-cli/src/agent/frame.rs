//! The frames on the socket: a JSON document, and beside it bytes that never pass through a parser
//! of JSON, so that none leaves a copy of a secret behind.

use std::io::{Error, ErrorKind};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// The largest frame, without its eight bytes of lengths.
pub(crate) const MAX_FRAME: usize = 1024 * 1024;

/// One message.
#[derive(Debug)]
pub(crate) struct Frame<T> {
    pub(crate) message: T,
    pub(crate) payload: Payload,
}

/// The bytes beside a message: a secret, a key, or nothing. Wiped when dropped, never printed.
#[derive(Default)]
pub(crate) struct Payload(Zeroizing<Vec<u8>>);

impl Payload {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// As text, when it is some.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The same without a copy.
    pub(crate) fn into_text(mut self) -> Option<Zeroizing<String>> {
        match String::from_utf8(std::mem::take(&mut *self.0)) {
            Ok(text) => Some(Zeroizing::new(text)),
            Err(error) => {
                *self.0 = error.into_bytes();
                None
            }
        }
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

/// Writes a frame.
pub(crate) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Serialize,
    payload: &[u8],
) -> Result<(), Error> {
    let json = serde_json::to_vec(message)?;
    let lengths = [json.len(), payload.len()];
    if lengths.iter().sum::<usize>() > MAX_FRAME {
        return Err(too_large());
    }
    for length in lengths {
        stream
            .write_u32(u32::try_from(length).map_err(|_| too_large())?)
            .await?;
    }
    stream.write_all(&json).await?;
    stream.write_all(payload).await?;
    stream.flush().await
}

/// Reads a frame; `None` when the other side has hung up between two.
pub(crate) async fn receive<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Frame<T>>, Error> {
    let mut lengths = [0; 8];
    let (first, rest) = lengths.split_at_mut(1);
    if stream.read(first).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(rest).await?;
    let [json, payload] = lengths_of(lengths);
    // Before anything of that size is allocated.
    if json.saturating_add(payload) > MAX_FRAME {
        return Err(too_large());
    }
    let mut document = vec![0; json];
    stream.read_exact(&mut document).await?;
    let mut bytes = Zeroizing::new(vec![0; payload]);
    stream.read_exact(&mut bytes).await?;
    let message = serde_json::from_slice(&document)
        .map_err(|_| Error::new(ErrorKind::InvalidData, "a message that is not understood"))?;
    Ok(Some(Frame {
        message,
        payload: Payload(bytes),
    }))
}

fn lengths_of(bytes: [u8; 8]) -> [usize; 2] {
    let both = u64::from_be_bytes(bytes);
    [both >> 32, both & u64::from(u32::MAX)]
        .map(|length| usize::try_from(length).unwrap_or(usize::MAX))
}

fn too_large() -> Error {
    Error::new(ErrorKind::InvalidData, "a frame larger than 1 MiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    type Received = Result<Option<Frame<String>>, Error>;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        crate::runtime::new().unwrap().block_on(future)
    }

    fn read(mut bytes: &[u8]) -> Received {
        wait(receive(&mut bytes))
    }

    fn written(message: &str, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        wait(send(&mut bytes, &message, payload)).map(|()| bytes)
    }

    #[test]
    fn what_is_sent_arrives() {
        let bytes = written("hello", b"\0secret\xff").unwrap();
        assert_eq!(bytes[..8], [0, 0, 0, 7, 0, 0, 0, 8]);
        let frame = read(&bytes).unwrap().unwrap();
        assert_eq!(frame.message, "hello");
        assert_eq!(frame.payload.bytes(), b"\0secret\xff");
        assert!(frame.payload.text().is_none());
        assert_eq!(format!("{:?}", frame.payload), "Payload(8 bytes)");
        assert!(frame.payload.into_text().is_none());
        assert!(read(b"").unwrap().is_none());
    }

    // shows: AGT-01
    #[test]
    fn the_limit_is_kept_on_both_sides() {
        let most = vec![0; MAX_FRAME - 2];
        let bytes = written("", &most).unwrap();
        assert!(read(&bytes).unwrap().is_some());
        assert!(written("", &vec![0; MAX_FRAME - 1]).is_err());
        // A gigabyte is announced and nothing of it is waited for.
        for announced in [
            [0x40, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0x40, 0, 0, 0],
            [0xff; 8],
        ] {
            let error = read(&announced).unwrap_err();
            assert_eq!(error.to_string(), "a frame larger than 1 MiB");
        }
    }

    #[test]
    fn rejects_half_frames_and_garbage() {
        let bytes = written("hello", b"secret").unwrap();
        for length in 1..bytes.len() {
            let error = read(&bytes[..length]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{length}");
        }
        let mut garbage = bytes;
        garbage[8] = b'{';
        let error = read(&garbage).unwrap_err();
        assert_eq!(error.to_string(), "a message that is not understood");
    }
}
