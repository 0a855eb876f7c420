//! The limits on requests, and on the memory of bodies and responses.

use std::sync::Arc;

use super::bodies::Bodies;
use super::rates::Rates;
use super::unread::Unread;
use crate::config::Config;

/// The limits on requests and responses.
pub(crate) struct Traffic {
    pub(crate) rates: Arc<Rates>,
    pub(crate) bodies: Bodies,
    pub(crate) unread: Unread,
}

impl Traffic {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            rates: Arc::new(Rates::new(config)),
            bodies: Bodies::new(&config.limits.memory),
            unread: Unread::new(&config.limits.memory),
        }
    }
}
