//! The state of authentication.

use std::sync::Arc;
use std::time::Duration;

use super::interactive::Interactive;
use super::names::Names;
use super::password::Passwords;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::rates::Rates;
use crate::store::Store;

/// Authentication, with its rate limits.
pub(crate) struct Auth {
    pub(crate) names: Names,
    pub(crate) passwords: Passwords,
    pub(super) interactive: Interactive,
    pub(super) store: Arc<dyn Store>,
    pub(super) rates: Arc<Rates>,
    pub(super) clock: Clock,
    pub(super) access_token_lifetime: Duration,
}

impl Auth {
    pub(crate) fn new(
        config: &Config,
        store: &Arc<dyn Store>,
        rates: &Arc<Rates>,
        passwords: Passwords,
    ) -> Self {
        Self {
            names: Names::of(&config.server_name),
            passwords,
            interactive: Interactive::new(config.clock.clone()),
            store: Arc::clone(store),
            rates: Arc::clone(rates),
            clock: config.clock.clone(),
            access_token_lifetime: config.accounts.access_token_lifetime,
        }
    }
}
