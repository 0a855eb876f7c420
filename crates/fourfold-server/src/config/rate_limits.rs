//! The rate limits of requests.

use std::time::Duration;

/// The rate limits of requests; beyond them the response is 429 with `Retry-After`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RateLimits {
    /// Logins and token refreshes.
    pub login: LoginRates,
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
    /// Requests without a session.
    pub strangers: StrangerRates,
    /// The delay of the refusal of a request that costs too much, so that clients that ignore
    /// `Retry-After` do not keep the server busy with refusals while others wait.
    pub refusal_delay: Duration,
}

impl RateLimits {
    /// No limit anywhere: for load tests and private machines.
    #[must_use]
    pub fn disabled() -> Self {
        Self {
            login: LoginRates {
                per_address: None,
                per_user: None,
            },
            registration_per_address: None,
            confirmation_per_user: None,
            requests_per_user: None,
            requests_per_device: None,
            messages_per_user: None,
            strangers: StrangerRates {
                anonymous_per_address: None,
                bad_tokens_per_address: None,
            },
            refusal_delay: Duration::ZERO,
        }
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        let rate = |per_second, burst| Some(Rate { per_second, burst });
        Self {
            login: LoginRates {
                per_address: rate(1.0, 30),
                per_user: rate(0.2, 10),
            },
            registration_per_address: rate(0.5, 30),
            confirmation_per_user: rate(0.2, 10),
            requests_per_user: rate(200.0, 1_000),
            requests_per_device: rate(100.0, 500),
            messages_per_user: rate(200.0, 5_000),
            strangers: StrangerRates {
                anonymous_per_address: rate(50.0, 500),
                bad_tokens_per_address: rate(10.0, 100),
            },
            refusal_delay: Duration::from_millis(250),
        }
    }
}

/// The rate limit of log-ins and token refreshes.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct LoginRates {
    /// From one address, refreshes included.
    pub per_address: Option<Rate>,
    /// To one account.
    pub per_user: Option<Rate>,
}

/// The rate limit of requests without a session.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StrangerRates {
    /// Requests that need no token, or bring none, from one address.
    pub anonymous_per_address: Option<Rate>,
    /// Requests with a token that opens nothing, from one address.
    pub bad_tokens_per_address: Option<Rate>,
}

/// A token bucket: `burst` at once, then `per_second`.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: f64,
    /// Tokens that fit.
    pub burst: u32,
}
