//! The default push rules of the specification, which the server itself writes into account data.
//! Clients do not start to sync without them.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use ruma::UserId as RumaUserId;
use ruma::push::Ruleset;
use serde_json::{Value, json};

use crate::bounded::generations::Generations;
use crate::http::error::MatrixError;
use crate::store::UserId;

/// The contents of `m.push_rules` that were asked for lately. Making one takes longer than the rest
/// of a first sync (80 µs), and they never change.
pub(crate) struct DefaultRules(Mutex<Generations<UserId, Bytes>>);

impl DefaultRules {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Generations::new(MAX_KEPT)))
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

/// Every kind is there, also one without rules: `ruma` leaves those out and clients look inside.
pub(crate) fn ruleset(user: &UserId) -> Result<Value, MatrixError> {
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
const MAX_KEPT: usize = 2_000;

/// The type of account data that holds them.
pub(crate) const PUSH_RULES: &str = "m.push_rules";
