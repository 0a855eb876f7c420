//! The server: a homeserver and a socket.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::homeserver::Homeserver;
use crate::http::address::address_key;
use crate::http::connection::{accept, protocol, refuse, serve};
use crate::http::places::{Entry, Places};
use crate::http::stopping::stopped;
use crate::http::write_timeout::WriteTimeout;
use crate::start_error::StartError;

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    homeserver: Homeserver,
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Opens the data folder and the address of the configuration. From here on connections are
    /// taken in; [`Server::run`] answers them.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let address = config.network.bind;
        let homeserver = Homeserver::open(config).await?;
        let bound = TcpListener::bind(address).await;
        let listener = bound.map_err(|source| StartError::Bind { address, source })?;
        Self::on(listener, homeserver)
    }

    /// Serves on a listener that was made elsewhere.
    ///
    /// # Errors
    ///
    /// [`StartError::System`] when the listener has no address.
    pub fn on(listener: TcpListener, homeserver: Homeserver) -> Result<Self, StartError> {
        let address = listener.local_addr()?;
        Ok(Self {
            homeserver,
            listener,
            address,
        })
    }

    /// Where the server listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The server behind the socket.
    #[must_use]
    pub fn homeserver(&self) -> &Homeserver {
        &self.homeserver
    }

    /// Answers until `shutdown` is ready. Then open long polls end, requests that are under way are
    /// answered, and everything acknowledged is on the disk when this returns.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self {
            homeserver,
            listener,
            ..
        } = self;
        let app = &homeserver.app;
        let router = homeserver.router();
        let http = protocol(&app.config.limits);
        let config = &app.config;
        let places = Places::new(
            config.limits.connections,
            config.network.trust_forwarded_for,
        );
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = accept(&listener) => accepted,
            };
            let Some((stream, peer)) = accepted else {
                continue;
            };
            let seat = match places.enter(address_key(peer.ip())) {
                Entry::Place(place) => Ok(place),
                Entry::Later(later) => Err((later, app.stopping.subscribe())),
                Entry::Refused => {
                    refuse(stream);
                    continue;
                }
            };
            // Responses are written whole or in large pieces: there is no reason to wait for more.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY cannot be set");
            }
            let serving = serve(
                http.clone(),
                WriteTimeout::new(stream, app.config.limits.send_timeout),
                peer,
                router.clone(),
                app.stopping.subscribe(),
            );
            connections.spawn(async move {
                let place = match seat {
                    Ok(place) => Some(place),
                    Err((later, stopping)) => tokio::select! {
                        place = later => place.ok(),
                        () = stopped(stopping) => None,
                    },
                };
                if place.is_some() {
                    serving.await;
                }
            });
            // Ended connections are dropped.
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        app.stopping.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(MAX_DRAIN, drained).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "connections did not end in time"
            );
        }
        connections.shutdown().await;
        homeserver.close().await;
    }
}

/// The time that connections may take to end when the server stops.
const MAX_DRAIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpStream;
    use zeroize::Zeroizing;

    use super::*;
    use crate::auth::account;
    use crate::auth::new_session::NewTokens;
    use crate::auth::sync_token::SyncPoint;
    use crate::config::{PasswordCost, RateLimits};

    /// Lets the server work until `done`, which a minute must be enough for.
    async fn until(done: impl Fn() -> bool) {
        let waiting = async {
            while !done() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn a_client_that_hangs_up_frees_its_long_poll() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::new("localhost", folder.path());
        config.network.bind.set_port(0);
        config.accounts.password_cost = PasswordCost::minimal();
        config.rate_limits = RateLimits::disabled();
        let server = Server::bind(config).await.unwrap();
        let app = Arc::clone(&server.homeserver.app);
        let auth = &app.auth;
        let user = auth.names.user_id("alice");
        let options = serde_json::from_str("{}").unwrap();
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let tokens = NewTokens::make(auth, &user, &options, peer).unwrap();
        let password = Zeroizing::new("password".to_owned());
        account::create(auth, &user, password, Some(&tokens))
            .await
            .unwrap();
        let position = app.store.changes(&user, None).await.unwrap().position;
        let device = tokens.session.device.clone();
        let since = SyncPoint::new(&device, position, position);
        let since = app.sync_tokens.seal(&user, &since);
        let token = tokens.body(auth, &user)["access_token"]
            .as_str()
            .unwrap()
            .to_owned();

        let address = server.local_addr();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async { drop(stopped.await) }));
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!(
            "GET /_matrix/client/v3/sync?timeout=60000&since={since} HTTP/1.1\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        client.write_all(request.as_bytes()).await.unwrap();
        // The connection and its poll both watch for the end of the server.
        until(|| app.stopping.receiver_count() == 2).await;
        drop(client);
        until(|| app.stopping.receiver_count() == 0).await;
        stop.send(()).unwrap();
        running.await.unwrap();
    }
}
