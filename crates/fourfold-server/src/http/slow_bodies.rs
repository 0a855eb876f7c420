//! Request bodies that arrive slowly: so many of a user at a time.
//!
//! A body that is there already never comes here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::http::error::MatrixError;
use crate::store::UserId;

/// The bodies that are waited for.
#[derive(Default)]
pub(crate) struct SlowBodies(Mutex<HashMap<UserId, usize>>);

/// One of them; over when dropped.
pub(crate) struct SlowBody<'s> {
    bodies: &'s SlowBodies,
    user: UserId,
}

impl SlowBodies {
    /// Begins to wait.
    ///
    /// # Errors
    ///
    /// 429 when the user has too many of them.
    pub(crate) fn begin(&self, user: &UserId) -> Result<SlowBody<'_>, MatrixError> {
        let mut bodies = self.lock();
        let own = bodies.entry(user.clone()).or_default();
        if *own >= MAX_OF_USER {
            return Err(MatrixError::LimitExceeded { retry_after: LATER });
        }
        *own += 1;
        Ok(SlowBody {
            bodies: self,
            user: user.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SlowBody<'_> {
    fn drop(&mut self) {
        let mut bodies = self.bodies.lock();
        if let Some(own) = bodies.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                bodies.remove(&self.user);
            }
        }
    }
}

/// Bodies of one user that are waited for.
pub(crate) const MAX_OF_USER: usize = 64;

/// When to ask again.
const LATER: Duration = Duration::from_secs(1);
