//! How requests are made.

use std::time::Duration;

/// The options of requests: timeouts, retries, and whether plain HTTP may leave this machine.
///
/// ```
/// use std::time::Duration;
/// let mut options = fourfold_client::Options::default();
/// options.total_timeout = Duration::from_secs(20);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The user agent: `fourfold/<version>`.
    pub user_agent: String,
    /// The timeout of one attempt to connect: 10 s.
    pub connect_timeout: Duration,
    /// The time for which the server may send nothing within one attempt: 60 s.
    pub read_timeout: Duration,
    /// The timeout of a call, including all attempts and the pauses between them: 120 s.
    pub total_timeout: Duration,
    /// The maximum number of attempts of a call, including the first: 5.
    pub attempts: u32,
    /// Whether plain HTTP is allowed to other hosts than this machine: no. Anyone who can see the
    /// network then sees the password and the access token.
    pub allow_http: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            user_agent: concat!("fourfold/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(60),
            total_timeout: Duration::from_secs(120),
            attempts: 5,
            allow_http: false,
        }
    }
}
