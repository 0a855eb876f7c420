//! What an operator may choose.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;
use crate::store::Quotas;

/// The configuration of a server. Make one with [`Config::new`] and change what should differ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The part of user IDs after the colon. A data folder belongs to one name for ever.
    pub server_name: String,
    /// The folder of the database and its lock. Made when missing; closed to other users (0700).
    pub data_folder: PathBuf,
    /// Where to listen; port 0 takes a free one. Loopback by default: there is no TLS here.
    pub bind: SocketAddr,
    /// The base URL that `/.well-known/matrix/client` names; without it that answers 404.
    pub public_base_url: Option<String>,
    /// Whether anyone who can reach the server may register.
    pub registration: bool,
    /// The work of one password hash.
    pub password_cost: PasswordCost,
    /// How long an access token lasts that came with a refresh token.
    pub access_token_lifetime: Duration,
    /// The longest that a sync waits, whatever the client asks.
    pub longest_poll: Duration,
    /// Sizes.
    pub limits: Limits,
    /// What one user may store.
    pub quotas: Quotas,
    /// Memory for the rows of users in use, in bytes.
    pub cache_bytes: usize,
    /// Rates.
    pub rate_limits: RateLimits,
    /// Whether a reverse proxy in front writes `X-Forwarded-For`. Its last address then counts for
    /// rate limits; without a proxy anyone could write what they like there.
    pub trust_forwarded_for: bool,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Config {
    /// The defaults: `127.0.0.1:8008`, registration open, rates limited.
    pub fn new(server_name: impl Into<String>, data_folder: impl Into<PathBuf>) -> Self {
        Self {
            server_name: server_name.into(),
            data_folder: data_folder.into(),
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8008)),
            public_base_url: None,
            registration: true,
            password_cost: PasswordCost::default(),
            access_token_lifetime: Duration::from_secs(5 * 60),
            longest_poll: Duration::from_secs(120),
            limits: Limits::default(),
            quotas: Quotas::default(),
            cache_bytes: 96 * 1024 * 1024,
            rate_limits: RateLimits::default(),
            trust_forwarded_for: false,
            clock: Clock::default(),
        }
    }
}

/// The parameters of Argon2id. Kept in each hash, so a change concerns new passwords.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PasswordCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
}

impl PasswordCost {
    /// The least that Argon2id allows: for tests, never for people.
    #[must_use]
    pub fn minimal() -> Self {
        Self {
            memory_kib: 8,
            iterations: 1,
            parallelism: 1,
        }
    }
}

impl Default for PasswordCost {
    /// 19 MiB, two passes, one lane: the first recommendation of OWASP.
    fn default() -> Self {
        Self {
            memory_kib: 19 * 1024,
            iterations: 2,
            parallelism: 1,
        }
    }
}

/// Sizes beyond which a request is refused with 413 `M_TOO_LARGE`, or 400 for depth and names.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one account-data content.
    pub account_data: usize,
    /// Bytes of one upload of room keys to the key backup.
    pub key_backup: usize,
    /// Bytes of any other request body.
    pub body: usize,
    /// Bytes of the body of a request that needs no session.
    pub body_of_stranger: usize,
    /// Objects and arrays inside each other in a request body.
    pub json_depth: usize,
    /// Bytes of a request line with its headers.
    pub head: usize,
    /// Connections at a time. One address has as many as are free, so half of them when it is alone;
    /// where [`Config::trust_forwarded_for`] says that a proxy is in front, it may have all.
    pub connections: usize,
    /// Bytes of large request bodies that come in or are worked on, of everyone together. Beyond it
    /// those that come slowly are refused.
    pub bodies: usize,
    /// The same of one user, or of one address without a session, who is answered 429 beyond it. One
    /// body is always possible.
    pub bodies_per_user: usize,
    /// Bytes of large answers that wait for their readers, of everyone together. Beyond it those that
    /// are read slowly break off.
    pub unread_answers: usize,
    /// The same of one user, who is answered 429 beyond it. One answer is always possible.
    pub unread_answers_per_user: usize,
    /// How long a client may take to send the head of a request, and then its body.
    pub receive_timeout: Duration,
    /// How long a client may read nothing of an answer that is ready for it.
    pub send_timeout: Duration,
}

impl Default for Limits {
    /// 1 MiB of account data, 4 MiB of room keys, 256 KiB of body and 16 KiB without a session, depth
    /// 64, 16 KiB of head, 10,000 connections, 64 MiB of bodies and 16 MiB of a user, 128 MiB of answers
    /// and 64 MiB of a user, 30 s each to send and to read.
    fn default() -> Self {
        Self {
            account_data: 1024 * 1024,
            key_backup: 4 * 1024 * 1024,
            body: 256 * 1024,
            body_of_stranger: 16 * 1024,
            json_depth: 64,
            head: 16 * 1024,
            connections: 10_000,
            bodies: 64 * 1024 * 1024,
            bodies_per_user: 16 * 1024 * 1024,
            unread_answers: 128 * 1024 * 1024,
            unread_answers_per_user: 64 * 1024 * 1024,
            receive_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(30),
        }
    }
}

/// How often what may be asked; beyond it the answer is 429 with `Retry-After`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RateLimits {
    /// Logins and token refreshes from one address.
    pub login_per_address: Option<Rate>,
    /// Logins to one account.
    pub login_per_user: Option<Rate>,
    /// Registrations, and questions for free names, from one address.
    pub registration_per_address: Option<Rate>,
    /// Passwords given to confirm a change, by one user.
    pub confirmation_per_user: Option<Rate>,
    /// Requests of any kind by one user. A large body counts as several: one for each 64 KiB.
    pub requests_per_user: Option<Rate>,
    /// The same by one device, so that a device that runs wild leaves the user's others their share.
    pub requests_per_device: Option<Rate>,
    /// Messages to devices sent by one user, each copy of one to `*` counted.
    pub messages_per_user: Option<Rate>,
    /// Requests that need no token, or bring none, from one address.
    pub anonymous_per_address: Option<Rate>,
    /// Requests with a token that opens nothing, from one address.
    pub bad_tokens_per_address: Option<Rate>,
    /// How long the refusal of a request that costs too much is held back, so that who asks on without heed does not keep
    /// the server busy with refusals while others wait.
    pub refusal_delay: Duration,
}

impl RateLimits {
    /// No limit anywhere: for load tests and private machines.
    #[must_use]
    pub fn disabled() -> Self {
        Self {
            login_per_address: None,
            login_per_user: None,
            registration_per_address: None,
            confirmation_per_user: None,
            requests_per_user: None,
            requests_per_device: None,
            messages_per_user: None,
            anonymous_per_address: None,
            bad_tokens_per_address: None,
            refusal_delay: Duration::ZERO,
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            login_per_address: Some(Rate {
                per_second: 1.0,
                burst: 30,
            }),
            login_per_user: Some(Rate {
                per_second: 0.2,
                burst: 10,
            }),
            registration_per_address: Some(Rate {
                per_second: 0.5,
                burst: 30,
            }),
            confirmation_per_user: Some(Rate {
                per_second: 0.2,
                burst: 10,
            }),
            requests_per_user: Some(Rate {
                per_second: 200.0,
                burst: 1_000,
            }),
            requests_per_device: Some(Rate {
                per_second: 100.0,
                burst: 500,
            }),
            messages_per_user: Some(Rate {
                per_second: 200.0,
                burst: 5_000,
            }),
            anonymous_per_address: Some(Rate {
                per_second: 50.0,
                burst: 500,
            }),
            bad_tokens_per_address: Some(Rate {
                per_second: 10.0,
                burst: 100,
            }),
            refusal_delay: Duration::from_millis(250),
        }
    }
}

/// A token bucket: `burst` at once, then `per_second`.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: f64,
    /// Tokens that fit.
    pub burst: u32,
}
