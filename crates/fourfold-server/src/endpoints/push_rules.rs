//! `/pushrules/`: the default rules of the specification. Clients do not start to sync without them.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use ruma::UserId as RumaUserId;
use ruma::push::Ruleset;
use serde_json::{Value, json};

use crate::bounded::generations::Generations;
use crate::call::Call;
use crate::http::answer;
use crate::http::error::MatrixError;
use crate::routes::Handled;
use crate::store::UserId;

/// The contents of `m.push_rules` that were asked for lately. Making one takes longer than the rest
/// of a first sync (80 µs), and they never change.
pub(crate) struct PushRules(Mutex<Generations<UserId, Bytes>>);

impl PushRules {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Generations::new(KEPT)))
    }

    /// The content of `m.push_rules`.
    pub(crate) fn content(&self, user: &UserId) -> Result<Bytes, MatrixError> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = lock().entry(user, |_| 1) {
            return Ok(content.clone());
        }
        let content = Bytes::from(json!({ "global": ruleset(user)? }).to_string());
        lock().insert(user.clone(), content.clone(), 1);
        Ok(content)
    }
}

/// `GET /pushrules/`.
pub(crate) async fn all(call: Call) -> Handled {
    Ok(answer::raw(call.app.push_rules.content(call.user()?)?))
}

/// `GET /pushrules/global/`.
pub(crate) async fn global(call: Call) -> Handled {
    answer::json(&ruleset(call.user()?)?)
}

/// Every kind is there, also one without rules: `ruma` leaves those out and clients look inside.
fn ruleset(user: &UserId) -> Result<Value, MatrixError> {
    let broken = |error: &dyn std::fmt::Display| {
        tracing::error!(%error, "the default push rules cannot be written");
        MatrixError::Internal
    };
    let user = <&RumaUserId>::try_from(user.as_str()).map_err(|error| broken(&error))?;
    let rules = Ruleset::server_default(user);
    let mut rules = serde_json::to_value(rules).map_err(|error| broken(&error))?;
    if let Some(rules) = rules.as_object_mut() {
        for kind in ["override", "content", "room", "sender", "underride"] {
            rules.entry(kind).or_insert_with(|| json!([]));
        }
    }
    Ok(rules)
}

/// Contents that are kept; each takes about 5 kB.
const KEPT: usize = 2_000;
