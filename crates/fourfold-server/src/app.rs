//! The state that every request may use.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use crate::auth::state::Auth;
use crate::auth::sync_token::SyncTokens;
use crate::config::Config;
use crate::default_rules::DefaultRules;
use crate::http::polls::Polls;
use crate::http::traffic::Traffic;
use crate::store::Store;

/// The server without its socket.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) auth: Auth,
    pub(crate) traffic: Traffic,
    pub(crate) sync_tokens: SyncTokens,
    pub(crate) polls: Polls,
    pub(crate) default_rules: DefaultRules,
    /// Turns true when the server stops: long polls then answer with what they have.
    pub(crate) stopping: watch::Sender<bool>,
}

impl fmt::Debug for App {
    /// The name alone: the rest is keys, sessions and other people's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.config.server_name;
        f.debug_struct("App")
            .field("server_name", name)
            .finish_non_exhaustive()
    }
}
