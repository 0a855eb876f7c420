//! What comes in on a connection: watched for requests that give their length twice, and read on after
//! the last answer, so that the answer arrives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderMap, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Passes everything through.
pub(crate) struct Incoming<S> {
    stream: S,
    connection: Connection,
    line: Line,
    /// Whether the last thing that happened was an answer, not a request.
    answered: bool,
    draining: Option<Draining>,
}

/// The rest of a connection after its last answer. A socket that is closed with bytes unread is reset,
/// and a reset may overtake the answer.
struct Draining {
    left: usize,
    end: Pin<Box<Sleep>>,
}

impl<S> Incoming<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            connection: Connection::default(),
            line: Line::default(),
            answered: false,
            draining: None,
        }
    }

    /// What its requests, and the end of the server, have to do with it.
    pub(crate) fn connection(&self) -> Connection {
        self.connection.clone()
    }
}

/// A connection, for those who do not hold its stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Lines `Content-Length` that came in and belong to no request that was handed out yet.
    lengths: AtomicUsize,
    is_stopping: AtomicBool,
}

impl Connection {
    /// Counts a request that was read; `false` if it has chunks and a length.
    ///
    /// Such a request is read differently by different programs, so that anyone who stands between
    /// can be made to see another request than we do. The HTTP implementation goes by the chunks
    /// and drops the length before anybody sees it; so the lines are counted as they come in.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let lengths = &self.0.lengths;
        let outstanding = lengths.load(Ordering::Relaxed);
        if headers.contains_key(header::TRANSFER_ENCODING) {
            return outstanding == 0;
        }
        if headers.contains_key(header::CONTENT_LENGTH) {
            lengths.store(outstanding.saturating_sub(1), Ordering::Relaxed);
        }
        true
    }

    /// The server is stopping: it no longer waits for anybody.
    pub(crate) fn stop(&self) {
        self.0.is_stopping.store(true, Ordering::Relaxed);
    }
}

/// The progress of matching the incoming line with [`NAME`]; `None` if it does not match.
#[derive(Default)]
struct Line(Option<usize>);

impl Line {
    /// Reads on; how many such lines there were.
    fn read(&mut self, mut bytes: &[u8]) -> usize {
        let mut found = 0;
        loop {
            let Some(matched) = self.0 else {
                let Some(end) = memchr::memchr(b'\n', bytes) else {
                    return found;
                };
                bytes = bytes.get(end + 1..).unwrap_or_default();
                self.0 = Some(0);
                continue;
            };
            let Some((first, rest)) = bytes.split_first() else {
                return found;
            };
            bytes = rest;
            let fits = NAME
                .get(matched)
                .is_some_and(|byte| byte.eq_ignore_ascii_case(first));
            self.0 = match first {
                b'\n' => Some(0),
                _ if fits => Some(matched + 1),
                _ => None,
            };
            if self.0 == Some(NAME.len()) {
                found += 1;
                self.0 = None;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Incoming<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let new = buffer.filled().get(before..).unwrap_or_default();
        let found = self.line.read(new);
        if found > 0 {
            let lengths = &self.connection.0.lengths;
            lengths.fetch_add(found, Ordering::Relaxed);
        }
        if !new.is_empty() {
            self.answered = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Incoming<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answered = true;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answered = true;
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Ends the answers, then reads on until the other side has ended too, for a while.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let mut draining = match this.draining.take() {
            Some(draining) => draining,
            None => {
                ready!(Pin::new(&mut this.stream).poll_shutdown(context))?;
                if !this.answered || this.connection.0.is_stopping.load(Ordering::Relaxed) {
                    return Poll::Ready(Ok(()));
                }
                Draining {
                    left: MAX_DRAINED,
                    end: Box::pin(tokio::time::sleep(MAX_DRAIN)),
                }
            }
        };
        let mut chunk = [0; 4096];
        while draining.end.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut this.stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) => {
                    let read = buffer.filled().len();
                    draining.left = draining.left.saturating_sub(read);
                    if read == 0 || draining.left == 0 {
                        break;
                    }
                }
                Poll::Ready(Err(_)) => break,
                Poll::Pending => {
                    this.draining = Some(draining);
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

const NAME: &[u8] = b"content-length:";

/// Bytes that are read after the last answer: more than an honest client has on the way.
const MAX_DRAINED: usize = 1024 * 1024;

/// Their timeout.
const MAX_DRAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[test]
    fn counts_lines_however_they_are_cut() {
        let text =
            b"PUT / HTTP/1.1\r\nX: content-length: 1\r\nCoNtent-Length: 2\r\ncontent-lengt\r\n\
            \ncontent-length:3\r\n\r\ncontent-length-x: 4\r\n";
        for size in [1, 2, 3, 7, text.len()] {
            let mut line = Line::default();
            let found: usize = text.chunks(size).map(|chunk| line.read(chunk)).sum();
            assert_eq!(found, 2, "{size}");
        }
    }

    #[test]
    fn a_length_that_no_request_showed_belongs_to_the_chunks() {
        let (mut chunks, mut length) = (HeaderMap::new(), HeaderMap::new());
        chunks.insert(header::TRANSFER_ENCODING, "chunked".parse().unwrap());
        length.insert(header::CONTENT_LENGTH, "2".parse().unwrap());
        let connection = Connection::default();
        connection.0.lengths.store(2, Ordering::Relaxed);
        assert!(connection.admit(&length));
        assert!(!connection.admit(&chunks));
        assert!(connection.admit(&length));
        assert!(connection.admit(&chunks));
        assert!(connection.admit(&HeaderMap::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn reads_on_after_an_answer_until_the_other_side_ends() {
        let (ours, mut theirs) = duplex(64);
        let mut ours = Incoming::new(ours);
        ours.write_all(b"400").await.unwrap();
        let sending = async move {
            theirs.write_all(&[b'x'; 1000]).await.unwrap();
            let mut answer = String::new();
            theirs.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let (closed, answer) = tokio::join!(ours.shutdown(), sending);
        closed.unwrap();
        assert_eq!(answer, "400");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_nobody_for_ever_nor_without_an_answer_nor_at_the_end() {
        let started = tokio::time::Instant::now();
        for (answers, stops, waits) in [(false, false, 0), (true, true, 0), (true, false, 1)] {
            let (ours, _theirs) = duplex(64);
            let mut ours = Incoming::new(ours);
            if stops {
                ours.connection().stop();
            }
            if answers {
                ours.write_all(b"400").await.unwrap();
            }
            ours.shutdown().await.unwrap();
            assert_eq!(started.elapsed().as_secs(), waits);
        }
    }
}
