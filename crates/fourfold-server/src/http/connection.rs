//! One connection: accepted or refused, read, served, ended.

use std::io::Write;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use super::address::PeerAddress;
use super::answer;
use super::error::MatrixError;
use super::incoming::Incoming;
use super::refusal::refusal;
use super::stopping::stopped;
use super::write_timeout::WriteTimeout;
use crate::config::Limits;

/// The configuration for reading requests: the same for every connection.
pub(crate) fn protocol(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.receive_timeout)
        .max_header_size(limits.head)
        // The buffer also holds pieces of bodies; it need not be larger than a head.
        .max_buf_size(limits.head.max(MIN_BUFFER));
    // No `pipeline_flush`: it delays a response while input waits, even the last one, to a request
    // that cannot be read; and it removes the limit on what waits to be written.
    http
}

pub(crate) async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            // Out of descriptors or similar: open connections must end before there is room.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Refuses with as much as fits into the buffers of the system, and disconnects.
pub(crate) fn refuse(stream: TcpStream) {
    let told = stream
        .into_std()
        .and_then(|mut stream| stream.write(REFUSAL));
    if let Err(error) = told {
        tracing::debug!(%error, "a connection was closed without a response");
    }
}

pub(crate) async fn serve(
    http: http1::Builder,
    stream: WriteTimeout<TcpStream>,
    peer: SocketAddr,
    router: Router,
    stopping: watch::Receiver<bool>,
) {
    let peer = PeerAddress(peer.ip());
    let stream = Incoming::new(stream);
    let (requests, incoming) = (stream.connection(), stream.connection());
    let service = service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        let admitted = requests.admit(request.headers());
        let router = router.clone();
        async move {
            if admitted {
                return router.oneshot(request).await;
            }
            Ok(answer::closing(refusal(&MatrixError::TwoLengths)))
        }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(stopping) => {
            incoming.stop();
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection failed");
    }
}

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The minimum that the HTTP implementation needs.
const MIN_BUFFER: usize = 8192;
