//! The server: a data folder, a router, a socket.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ruma::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt;
use zeroize::Zeroizing;

use crate::app::{App, Rates, address_key, check_localpart, stopped};
use crate::auth::interactive::Interactive;
use crate::auth::password::Passwords;
use crate::auth::sync_token::SyncTokens;
use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::endpoints::push_rules::PushRules;
use crate::endpoints::registration;
use crate::http::answer;
use crate::http::bodies::Bodies;
use crate::http::error::MatrixError;
use crate::http::incoming::Incoming;
use crate::http::places::{Entry, Places};
use crate::http::polls::Polls;
use crate::http::unread::Unread;
use crate::http::write_timeout::WriteTimeout;
use crate::router::{PeerAddress, router};
use crate::store::sqlite::{self, OpenError, SqliteStore};
use crate::store::{Store, StoreError};

/// The server without a socket: what tests call directly, and what [`Server`] serves.
///
/// Await [`Homeserver::close`] before dropping one: it finishes what the writer has begun.
#[derive(Debug)]
pub struct Homeserver {
    app: Arc<App>,
    _folder: Option<DataFolder>,
}

impl Homeserver {
    /// Opens the data folder of the configuration.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the configuration is invalid, or the folder or its database cannot be used.
    pub async fn open(config: Config) -> Result<Self, StartError> {
        check(&config)?;
        let (path, mut options) = (
            config.data_folder.clone(),
            sqlite::Options::new(config.server_name.as_str()),
        );
        options.quotas = config.quotas.clone();
        options.cache_bytes = config.cache_bytes;
        let opened = tokio::task::spawn_blocking(move || {
            let folder = DataFolder::open(&path)?;
            let store = SqliteStore::open(&sqlite::file_in(folder.path()), options)?;
            Ok::<_, StartError>((folder, store))
        });
        let (folder, store) = opened.await.map_err(io::Error::other)??;
        let mut server = Self::with_store(config, Arc::new(store)).await?;
        server._folder = Some(folder);
        Ok(server)
    }

    /// Serves from a store that is open already; the data folder of the configuration is not used.
    ///
    /// # Errors
    ///
    /// [`StartError`]: the configuration is invalid or the store does not answer.
    pub async fn with_store(config: Config, store: Arc<dyn Store>) -> Result<Self, StartError> {
        check(&config)?;
        let cost = config.password_cost;
        let passwords = tokio::task::spawn_blocking(move || Passwords::new(cost));
        let passwords = passwords.await.map_err(io::Error::other)?;
        let app = App {
            passwords: passwords.ok_or(StartError::PasswordCost)?,
            interactive: Interactive::new(),
            sync_tokens: SyncTokens::new(store.batch_key().await?),
            push_rules: PushRules::new(),
            rates: Rates::new(&config),
            bodies: Bodies::new(&config.limits),
            unread: Unread::new(&config.limits),
            polls: Polls::default(),
            stopping: watch::channel(false).0,
            config,
            store,
        };
        Ok(Self {
            app: Arc::new(app),
            _folder: None,
        })
    }

    /// The router over all routes.
    pub fn router(&self) -> Router {
        router(&self.app)
    }

    /// Makes an account, whether registration is open or not.
    ///
    /// # Errors
    ///
    /// [`AccountError`].
    pub async fn create_account(
        &self,
        localpart: &str,
        password: &str,
    ) -> Result<(), AccountError> {
        let password = Zeroizing::new(password.to_owned());
        let created = match check_localpart(localpart, &self.app.config.server_name) {
            Ok(()) => {
                let user = self.app.user_id(localpart);
                registration::create(&self.app, &user, password, None).await
            }
            Err(error) => Err(error),
        };
        created.map_err(|error| match error {
            MatrixError::InvalidUsername => AccountError::InvalidName,
            MatrixError::UserInUse => AccountError::NameInUse,
            MatrixError::WeakPassword => AccountError::WeakPassword,
            _ => AccountError::Unavailable,
        })
    }

    /// How many passwords were hashed, with all that were compared.
    #[cfg(test)]
    pub(crate) fn hashed(&self) -> usize {
        self.app.passwords.hashed()
    }

    /// Ends open long polls, finishes every accepted write and closes the store.
    pub async fn close(&self) {
        self.app.stopping.send_replace(true);
        self.app.store.close().await;
    }
}

/// Why an account was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The name has characters that user IDs do not have, or too many.
    #[error("the user name is empty, too long or has characters outside a-z 0-9 . _ = - / +")]
    InvalidName,
    /// The name is taken.
    #[error("the user name is taken")]
    NameInUse,
    /// The password may not be used.
    #[error("the password is empty or too long")]
    WeakPassword,
    /// The store could not write; the log has the cause.
    #[error("the store is unavailable")]
    Unavailable,
}

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
        let address = config.bind;
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
        let http = http(&app.config);
        let config = &app.config;
        let places = Places::new(config.limits.connections, config.trust_forwarded_for);
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
            // Answers are written whole or in large pieces: there is nothing to wait for.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection cannot go without delay");
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
            // What has ended is let go.
            while connections.try_join_next().is_some() {}
        }
        drop(listener);
        app.stopping.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "connections did not end in time"
            );
        }
        connections.shutdown().await;
        homeserver.close().await;
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The server name is not one of Matrix.
    #[error("the server name is invalid")]
    ServerName,
    /// Argon2id does not allow the parameters.
    #[error("the cost of passwords is invalid")]
    PasswordCost,
    /// The data folder could not be made or locked.
    #[error("the data folder {} cannot be used", path.display())]
    DataFolder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process uses the data folder.
    #[error("the data folder {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The address could not be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The database could not be opened.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system refused something that it should not.
    #[error("the system refused a resource")]
    System(#[from] io::Error),
}

fn check(config: &Config) -> Result<(), StartError> {
    ServerName::parse(config.server_name.as_str()).map_err(|_| StartError::ServerName)?;
    Ok(())
}

fn http(config: &Config) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(config.limits.receive_timeout)
        .max_header_size(config.limits.head)
        // The buffer holds pieces of bodies too; it needs no more than a head does.
        .max_buf_size(config.limits.head.max(SMALLEST_BUFFER));
    // No `pipeline_flush`: it holds an answer back while input waits, also the last one, to a request
    // that cannot be read; and it takes the bound away from what waits to be written.
    http
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            // Out of descriptors or the like: what is open must end before there is room.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// Says no in as much as fits into the buffers of the system, and hangs up.
fn refuse(stream: TcpStream) {
    let told = stream
        .into_std()
        .and_then(|mut stream| stream.write(REFUSAL));
    if let Err(error) = told {
        tracing::debug!(%error, "a connection was refused without a word");
    }
}

async fn serve(
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
            Ok(answer::closing(MatrixError::TwoLengths.into_answer()))
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
        tracing::debug!(%error, "a connection ended badly");
    }
}

/// How long connections may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
    Content-Length: 0\r\nConnection: close\r\n\r\n";

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the HTTP implementation needs at least.
const SMALLEST_BUFFER: usize = 8192;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::auth::sync_token::SyncPoint;
    use crate::config::{PasswordCost, RateLimits};
    use crate::endpoints::registration;

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
        config.bind.set_port(0);
        config.password_cost = PasswordCost::minimal();
        config.rate_limits = RateLimits::disabled();
        let server = Server::bind(config).await.unwrap();
        let app = Arc::clone(&server.homeserver.app);
        let user = app.user_id("alice");
        let options = serde_json::from_str("{}").unwrap();
        let peer = std::net::Ipv4Addr::LOCALHOST.into();
        let tokens =
            crate::endpoints::session::NewTokens::make(&app, &user, &options, peer).unwrap();
        let password = Zeroizing::new("password".to_owned());
        registration::create(&app, &user, password, Some(&tokens))
            .await
            .unwrap();
        let position = app.store.changes(&user, None).await.unwrap().position;
        let device = tokens.session.device.clone();
        let since = SyncPoint::new(&device, position, position);
        let since = app.sync_tokens.seal(&user, &since);
        let token = tokens.body(&app, &user)["access_token"]
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
