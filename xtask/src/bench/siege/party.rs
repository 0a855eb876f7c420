//! Who takes part: a user on a device, at an address.

use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::scene::Scene;
use super::wire::{Answer, Wire};
use crate::failure::Failure;
use crate::http::PASSWORD;

/// The pause before what a rate refused is asked again.
const PAUSE: Duration = Duration::from_millis(300);

/// A device that is logged in.
#[derive(Debug)]
pub(super) struct Party {
    pub(super) from: Ipv4Addr,
    pub(super) user_id: String,
    pub(super) device_id: String,
    pub(super) token: String,
    wire: Wire,
}

/// Who somebody is.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) user_id: String,
    pub(super) device_id: String,
}

impl Party {
    /// Registers a user.
    pub(super) fn register(scene: &Scene, from: Ipv4Addr, name: &str) -> Result<Self, Failure> {
        let body = json!({
            "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" },
        });
        Self::enter(scene, from, "/register", &body)
    }

    /// Another device of a user.
    pub(super) fn log_in(scene: &Scene, from: Ipv4Addr, name: &str) -> Result<Self, Failure> {
        let user = json!({ "type": "m.id.user", "user": name });
        let body = json!({
            "type": "m.login.password", "identifier": user, "password": PASSWORD,
        });
        Self::enter(scene, from, "/login", &body)
    }

    /// Somebody without an account: the token opens nothing.
    pub(super) fn stranger(scene: &Scene, from: Ipv4Addr) -> Self {
        Self {
            from,
            user_id: String::new(),
            device_id: String::new(),
            token: "none".to_owned(),
            wire: Wire::new(from, scene.to),
        }
    }

    /// The same device, for those who only name it.
    pub(super) fn named(&self) -> Name {
        Name {
            user_id: self.user_id.clone(),
            device_id: self.device_id.clone(),
        }
    }

    fn enter(scene: &Scene, from: Ipv4Addr, path: &str, body: &Value) -> Result<Self, Failure> {
        let mut wire = Wire::new(from, scene.to);
        let answer = wire.send("POST", path, None, &body.to_string())?;
        let body = answer.json();
        let text = |name: &str| {
            let text = body.get(name).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| Failure::Check(format!("{path}: {} {body}", answer.status)))
        };
        Ok(Self {
            from,
            user_id: text("user_id")?,
            device_id: text("device_id")?,
            token: text("access_token")?,
            wire,
        })
    }

    /// Sends a request of this device.
    pub(super) fn send(&mut self, method: &str, path: &str, body: &str) -> Result<Answer, Failure> {
        self.wire.send(method, path, Some(&self.token), body)
    }

    /// Sends a request until no rate refuses it; it must then be answered with 200.
    pub(super) fn must(&mut self, method: &str, path: &str, body: &str) -> Result<Value, Failure> {
        loop {
            let answer = self.send(method, path, body)?;
            match answer.status {
                200 => return Ok(answer.json()),
                429 => thread::sleep(PAUSE),
                status => {
                    let body = answer.json();
                    return Err(Failure::Check(format!("{method} {path}: {status} {body}")));
                }
            }
        }
    }

    /// The path of one type of the account data.
    pub(super) fn account_data(&self, event_type: &str) -> String {
        format!("/user/{}/account_data/{event_type}", self.user_id)
    }

    /// Where a sync stands.
    pub(super) fn since(&mut self) -> Result<String, Failure> {
        let sync = self.must("GET", "/sync", "")?;
        let since = sync.get("next_batch").and_then(Value::as_str);
        since
            .map(str::to_owned)
            .ok_or_else(|| Failure::Check("a sync without next_batch".to_owned()))
    }
}
