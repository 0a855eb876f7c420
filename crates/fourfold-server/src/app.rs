//! What every request may reach.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use tokio::sync::watch;

use crate::auth::interactive::Interactive;
use crate::auth::password::Passwords;
use crate::auth::sync_token::SyncTokens;
use crate::config::Config;
use crate::endpoints::push_rules::PushRules;
use crate::http::bodies::Bodies;
use crate::http::error::MatrixError;
use crate::http::polls::Polls;
use crate::http::rate_limit::RateLimiter;
use crate::http::unread::Unread;
use crate::store::{DeviceId, Session, Store, UserId};

/// The server without its socket.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) passwords: Passwords,
    pub(crate) interactive: Interactive,
    pub(crate) sync_tokens: SyncTokens,
    pub(crate) push_rules: PushRules,
    pub(crate) rates: Rates,
    pub(crate) bodies: Bodies,
    pub(crate) unread: Unread,
    pub(crate) polls: Polls,
    /// Turns true when the server stops: long polls then answer with what they have.
    pub(crate) stopping: watch::Sender<bool>,
}

impl App {
    /// The full ID of a local user whose name was checked.
    pub(crate) fn user_id(&self, localpart: &str) -> UserId {
        UserId::new(format!("@{localpart}:{}", self.config.server_name))
    }

    /// The local part of one of our user IDs.
    pub(crate) fn localpart<'a>(&self, user: &'a UserId) -> &'a str {
        let text = user.as_str();
        let end = text.len().saturating_sub(self.config.server_name.len() + 1);
        text.get(1..end).unwrap_or_default()
    }

    /// Whether a user ID is one of this server, whether or not that user exists.
    pub(crate) fn is_local(&self, user: &UserId) -> bool {
        let server = user.as_str().split_once(':').map(|(_, server)| server);
        server == Some(self.config.server_name.as_str())
    }

    /// The ID of whoever may have an account here; `None` when nobody can have that name.
    pub(crate) fn possible_user_id(&self, localpart: &str) -> Option<UserId> {
        check_localpart(localpart, &self.config.server_name).ok()?;
        Some(self.user_id(localpart))
    }

    /// The ID that a person typed, full or only its local part; `None` for another server's, and when
    /// nobody can have that name.
    pub(crate) fn typed_user_id(&self, typed: &str) -> Option<UserId> {
        let Some(rest) = typed.strip_prefix('@') else {
            return self.possible_user_id(typed);
        };
        let (localpart, server_name) = rest.split_once(':')?;
        if server_name != self.config.server_name {
            return None;
        }
        self.possible_user_id(localpart)
    }
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

/// The limiters of [`RateLimits`](crate::RateLimits).
pub(crate) struct Rates {
    pub(crate) login_per_address: RateLimiter,
    pub(crate) login_per_user: RateLimiter,
    pub(crate) registration_per_address: RateLimiter,
    pub(crate) confirmation_per_user: RateLimiter,
    pub(crate) requests_per_user: RateLimiter,
    pub(crate) requests_per_device: RateLimiter,
    pub(crate) messages_per_user: RateLimiter,
    pub(crate) anonymous_per_address: RateLimiter,
    pub(crate) bad_tokens_per_address: RateLimiter,
}

impl Rates {
    pub(crate) fn new(config: &Config) -> Self {
        let limiter = |rate| RateLimiter::new(rate, config.clock.clone());
        let rates = &config.rate_limits;
        Self {
            login_per_address: limiter(rates.login_per_address),
            login_per_user: limiter(rates.login_per_user),
            registration_per_address: limiter(rates.registration_per_address),
            confirmation_per_user: limiter(rates.confirmation_per_user),
            requests_per_user: limiter(rates.requests_per_user),
            requests_per_device: limiter(rates.requests_per_device),
            messages_per_user: limiter(rates.messages_per_user),
            anonymous_per_address: limiter(rates.anonymous_per_address),
            bad_tokens_per_address: limiter(rates.bad_tokens_per_address),
        }
    }

    /// One request of a session. The device first: what it is refused costs its user nothing.
    pub(crate) fn take(&self, session: &Session) -> Result<(), MatrixError> {
        self.requests_per_device.take(&device_key(session))?;
        self.requests_per_user.take(session.user.as_str())
    }

    /// The body of that request, which makes it several when it is large.
    pub(crate) fn charge_body(&self, session: &Session, length: usize) {
        let more = length / BODY_OF_ONE;
        if more > 0 {
            self.requests_per_device.charge(&device_key(session), more);
            self.requests_per_user.charge(session.user.as_str(), more);
        }
    }
}

/// What a device is limited under.
fn device_key(session: &Session) -> (&UserId, &DeviceId) {
    (&session.user, &session.device)
}

/// Bytes of a body that count as one request.
const BODY_OF_ONE: usize = 64 * 1024;

/// Waits for the server to stop.
pub(crate) async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the server is gone, which is stopped enough.
    drop(stopping.wait_for(|stopping| *stopping).await);
}

/// What an address is limited under: its network. Those of IPv6 are handed out as /64.
pub(crate) fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// Refuses local parts that the specification does not allow, and IDs beyond 255 bytes.
pub(crate) fn check_localpart(localpart: &str, server_name: &str) -> Result<(), MatrixError> {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte);
    let length = localpart.len() + server_name.len() + 2;
    if localpart.is_empty() || length > 255 || !localpart.bytes().all(allowed) {
        return Err(MatrixError::InvalidUsername);
    }
    Ok(())
}
