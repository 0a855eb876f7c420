//! The server without a socket: a data folder, a store, a router.

use std::io;
use std::sync::Arc;

use axum::Router;
use ruma::ServerName;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::app::App;
use crate::auth::account;
use crate::auth::password::Passwords;
use crate::auth::state::Auth;
use crate::auth::sync_token::SyncTokens;
use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::default_rules::DefaultRules;
use crate::http::error::MatrixError;
use crate::http::polls::Polls;
use crate::http::traffic::Traffic;
use crate::router::router;
use crate::start_error::StartError;
use crate::store::Store;
use crate::store::sqlite::{self, SqliteStore};

/// The server without a socket: what tests call directly, and what [`Server`](crate::Server) serves.
///
/// Await [`Homeserver::close`] before dropping one: it finishes what the writer has begun.
#[derive(Debug)]
pub struct Homeserver {
    pub(crate) app: Arc<App>,
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
            config.storage.data_folder.clone(),
            sqlite::Options::new(config.server_name.as_str()),
        );
        options.quotas = config.storage.quotas.clone();
        options.cache_bytes = config.storage.cache_bytes;
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
        let cost = config.accounts.password_cost;
        let passwords = tokio::task::spawn_blocking(move || Passwords::new(cost));
        let passwords = passwords.await.map_err(io::Error::other)?;
        let passwords = passwords.ok_or(StartError::PasswordCost)?;
        let traffic = Traffic::new(&config);
        let app = App {
            auth: Auth::new(&config, &store, &traffic.rates, passwords),
            traffic,
            sync_tokens: SyncTokens::new(store.batch_key().await?),
            polls: Polls::default(),
            default_rules: DefaultRules::new(),
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
        let auth = &self.app.auth;
        let created = match auth.names.check(localpart) {
            Ok(()) => account::create(auth, &auth.names.user_id(localpart), password, None).await,
            Err(error) => Err(error),
        };
        created.map_err(|error| match error {
            MatrixError::InvalidUsername => AccountError::InvalidName,
            MatrixError::UserInUse => AccountError::NameInUse,
            MatrixError::WeakPassword => AccountError::WeakPassword,
            _ => AccountError::Unavailable,
        })
    }

    /// The number of passwords that were hashed, comparisons included.
    #[cfg(test)]
    pub(crate) fn hashed(&self) -> usize {
        self.app.auth.passwords.hashed()
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

fn check(config: &Config) -> Result<(), StartError> {
    ServerName::parse(config.server_name.as_str()).map_err(|_| StartError::ServerName)?;
    Ok(())
}
