//! The configuration by the operator.

mod limits;
mod rate_limits;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use self::limits::{BodyLimits, Limits, MemoryLimits};
pub use self::rate_limits::{LoginRates, Rate, RateLimits, StrangerRates};
use crate::clock::Clock;
use crate::store::Quotas;

/// The configuration of a server. Make one with [`Config::new`] and change what should differ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The part of user IDs after the colon. The name of a data folder cannot be changed.
    pub server_name: String,
    /// The network configuration of the server.
    pub network: NetworkConfig,
    /// The configuration of accounts.
    pub accounts: AccountConfig,
    /// Where rows are kept, and how many.
    pub storage: StorageConfig,
    /// Sizes and times.
    pub limits: Limits,
    /// Rates.
    pub rate_limits: RateLimits,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Config {
    /// The defaults: `127.0.0.1:8008`, registration open, rates limited.
    pub fn new(server_name: impl Into<String>, data_folder: impl Into<PathBuf>) -> Self {
        Self {
            server_name: server_name.into(),
            network: NetworkConfig {
                bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 8008)),
                public_base_url: None,
                trust_forwarded_for: false,
            },
            accounts: AccountConfig {
                registration: true,
                password_cost: PasswordCost::default(),
                access_token_lifetime: Duration::from_secs(5 * 60),
            },
            storage: StorageConfig {
                data_folder: data_folder.into(),
                quotas: Quotas::default(),
                cache_bytes: 96 * 1024 * 1024,
            },
            limits: Limits::default(),
            rate_limits: RateLimits::default(),
            clock: Clock::default(),
        }
    }
}

/// The network configuration of a server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NetworkConfig {
    /// Where to listen; port 0 takes a free one. Loopback by default: there is no TLS here.
    pub bind: SocketAddr,
    /// The base URL that `/.well-known/matrix/client` names; without it that answers 404.
    pub public_base_url: Option<String>,
    /// Whether a reverse proxy in front writes `X-Forwarded-For`. Its last address then counts for
    /// rate limits; without a proxy anyone could write what they like there.
    pub trust_forwarded_for: bool,
}

/// The configuration of accounts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AccountConfig {
    /// Whether anyone who can reach the server may register.
    pub registration: bool,
    /// The work of one password hash.
    pub password_cost: PasswordCost,
    /// The lifetime of an access token that came with a refresh token.
    pub access_token_lifetime: Duration,
}

/// Where rows are kept, and how many.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StorageConfig {
    /// The folder of the database and its lock. Made when missing; closed to other users (0700).
    pub data_folder: PathBuf,
    /// The quotas of one user.
    pub quotas: Quotas,
    /// Memory for the rows of users in use, in bytes.
    pub cache_bytes: usize,
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
