//! Rate limits by client and route.

use super::rate_limit::RateLimiter;
use crate::config::Config;
use crate::http::error::MatrixError;
use crate::store::{DeviceId, Session, UserId};

/// The limiters of [`RateLimits`](crate::RateLimits).
pub(crate) struct Rates {
    pub(crate) login: Login,
    pub(crate) registration_per_address: RateLimiter,
    pub(crate) confirmation_per_user: RateLimiter,
    pub(crate) messages_per_user: RateLimiter,
    pub(crate) strangers: Strangers,
    requests_per_user: RateLimiter,
    requests_per_device: RateLimiter,
}

/// Logins and token refreshes.
pub(crate) struct Login {
    pub(crate) per_address: RateLimiter,
    pub(crate) per_user: RateLimiter,
}

/// Requests without a session.
pub(crate) struct Strangers {
    pub(crate) anonymous_per_address: RateLimiter,
    pub(crate) bad_tokens_per_address: RateLimiter,
}

impl Rates {
    pub(crate) fn new(config: &Config) -> Self {
        let limiter = |rate| RateLimiter::new(rate, config.clock.clone());
        let rates = &config.rate_limits;
        Self {
            login: Login {
                per_address: limiter(rates.login.per_address),
                per_user: limiter(rates.login.per_user),
            },
            registration_per_address: limiter(rates.registration_per_address),
            confirmation_per_user: limiter(rates.confirmation_per_user),
            messages_per_user: limiter(rates.messages_per_user),
            strangers: Strangers {
                anonymous_per_address: limiter(rates.strangers.anonymous_per_address),
                bad_tokens_per_address: limiter(rates.strangers.bad_tokens_per_address),
            },
            requests_per_user: limiter(rates.requests_per_user),
            requests_per_device: limiter(rates.requests_per_device),
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

/// The name under which a device is limited.
fn device_key(session: &Session) -> (&UserId, &DeviceId) {
    (&session.user, &session.device)
}

/// Bytes of a body that count as one request.
const BODY_OF_ONE: usize = 64 * 1024;
