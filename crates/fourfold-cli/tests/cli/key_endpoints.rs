//! What a homeserver does with the keys of one user, played by a proxy: honestly, or as a test likes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};

use crate::{
    homeserver::{Homeserver, PASSWORD, Person},
    proxy::{Message, Proxy, Turn},
};

/// A user, and the keys that the homeserver has of them.
pub(crate) struct Scene {
    pub(crate) proxy: Proxy,
    pub(crate) alice: Person,
    keys: Arc<Mutex<Keys>>,
}

impl Scene {
    /// A user who is registered and logged in.
    pub(crate) fn new(server: &Homeserver, name: &str) -> Self {
        let proxy = Proxy::to(&server.address);
        server.register(name);
        let scene = Self {
            alice: Person::at(&proxy.address, name),
            proxy,
            keys: Arc::default(),
        };
        scene.be_honest();
        scene.alice.log_in().run().succeeds();
        scene
    }

    /// Another machine of the same user, logged in.
    pub(crate) fn machine(&self) -> Person {
        let name = self.alice.user_id.trim_start_matches('@');
        let name = name.split(':').next().unwrap();
        let machine = Person::at(&self.proxy.address, name);
        machine.log_in().run().succeeds();
        machine
    }

    /// Every request is answered as it should be.
    pub(crate) fn be_honest(&self) {
        self.lie(|_, _| None);
    }

    /// Some requests are answered otherwise: those for which there is another answer. It gets the
    /// honest one, which has been carried out; `None` for what the server behind answers.
    pub(crate) fn lie(
        &self,
        mut lie: impl FnMut(&Message, Option<&Value>) -> Option<Message> + Send + 'static,
    ) {
        let keys = Arc::clone(&self.keys);
        self.proxy.lie(move |request| {
            let honest = keys.lock().unwrap().answer(request);
            let body = honest
                .as_ref()
                .map(|answer| serde_json::from_slice(&answer.body).unwrap());
            match (lie(request, body.as_ref()), honest) {
                (Some(lie), _) => Turn::Answered(lie),
                (None, Some(honest)) => Turn::Answered(honest),
                (None, None) => Turn::Honest,
            }
        });
    }

    /// Refuses one write after so many were carried out. It is carried out all the same, or not.
    pub(crate) fn fail_write_after(&self, mut writes: usize, is_carried_out: bool) {
        let keys = Arc::clone(&self.keys);
        self.proxy.lie(move |request| {
            let is_write = request.head.starts_with("PUT ")
                || request.head.starts_with("POST ") && !request.head.contains("/keys/query ");
            let is_failing = is_write && writes == 0;
            if is_write {
                writes = writes.wrapping_sub(1);
            }
            let failure = Message::error(403, "M_FORBIDDEN", "not now");
            if is_failing && !is_carried_out {
                return Turn::Answered(failure);
            }
            match keys.lock().unwrap().answer(request) {
                Some(_) if is_failing => Turn::Answered(failure),
                Some(answer) => Turn::Answered(answer),
                None if is_failing => Turn::Altered(Box::new(move |_| failure)),
                None => Turn::Honest,
            }
        });
    }

    /// Requests to this path are refused, and not carried out.
    pub(crate) fn refuse(&self, path: &'static str) {
        let keys = Arc::clone(&self.keys);
        self.proxy.lie(move |request| {
            if request.head.lines().next().unwrap().contains(path) {
                return Turn::Answered(Message::error(403, "M_FORBIDDEN", "not now"));
            }
            match keys.lock().unwrap().answer(request) {
                Some(answer) => Turn::Answered(answer),
                None => Turn::Honest,
            }
        });
    }

    /// `/keys/query` as it is answered now.
    pub(crate) fn query(&self) -> Value {
        self.keys.lock().unwrap().query(&self.alice.user_id)
    }

    /// The master key that is published; null when there is none.
    pub(crate) fn master_key(&self) -> Value {
        self.query()["master_keys"][&self.alice.user_id]["keys"].clone()
    }

    /// Changes what the homeserver has.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Keys)) {
        change(&mut self.keys.lock().unwrap());
    }

    /// How many requests there were to this path.
    pub(crate) fn requests_to(&self, path: &str) -> usize {
        let seen = self.proxy.seen();
        let is_to = |request: &Message| request.head.lines().next().unwrap().contains(path);
        seen.iter().filter(|(request, _)| is_to(request)).count()
    }

    /// `setup` with everything that it needs, the recovery key in a file of this name.
    pub(crate) fn set_up(&self) -> crate::invocation::Invocation {
        let key = self.alice.folder.name_of("key");
        let setup = sealed(&self.alice, &["setup", "--yes"]);
        let out = if self.alice.folder.join("key").exists() {
            "--recovery-key-file"
        } else {
            "--recovery-key-out"
        };
        setup.arguments([out, &key])
    }
}

/// A call with the key that seals the state of the machine.
pub(crate) fn sealed(person: &Person, arguments: &[&str]) -> crate::invocation::Invocation {
    let state_key = person.folder.name_of("state.key");
    person
        .call(arguments)
        .arguments(["--store-key-file", &state_key])
}

/// What a homeserver keeps of one user.
#[derive(Default)]
pub(crate) struct Keys {
    /// By device ID.
    pub(crate) devices: serde_json::Map<String, Value>,
    /// `master_key`, `self_signing_key`, `user_signing_key`.
    pub(crate) identity: serde_json::Map<String, Value>,
    pub(crate) backup: Option<Value>,
    /// Which device has an access token.
    tokens: HashMap<String, String>,
    /// What was sent to a device and not fetched yet.
    inboxes: HashMap<String, Vec<Value>>,
    synced: usize,
}

impl Keys {
    fn answer(&mut self, request: &Message) -> Option<Message> {
        let line = request.head.lines().next().unwrap();
        let path = line.split(' ').nth(1).unwrap();
        let path = path.strip_prefix("/_matrix/client/v3").unwrap_or(path);
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let user = || {
            let of = &body["device_keys"];
            of.as_object().unwrap().keys().next().unwrap().clone()
        };
        let ok = |body: Value| Message::json(&body);
        let header = |line: &&str| line.to_lowercase().starts_with("authorization:");
        let token = request
            .head
            .lines()
            .find(header)
            .unwrap_or_default()
            .to_owned();
        if let Some(kind) = path.strip_prefix("/sendToDevice/") {
            let kind = kind.split('/').next().unwrap();
            self.send(kind, &body);
            return Some(ok(json!({})));
        }
        // What a device waits for; without any wait, because nothing else comes meanwhile.
        if path.starts_with("/sync?") && path.contains("timeout=10000") {
            self.synced += 1;
            let device = self.tokens.get(&token)?;
            let events = self.inboxes.remove(device).unwrap_or_default();
            return Some(ok(json!({
                "next_batch": format!("k{}", self.synced),
                "to_device": {"events": events},
                "device_one_time_keys_count": {"signed_curve25519": 50},
            })));
        }
        Some(match path {
            "/keys/query" => ok(self.query(&user())),
            "/keys/upload" => {
                if let Some(id) = body["device_keys"]["device_id"].as_str() {
                    self.tokens.insert(token, id.to_owned());
                    self.devices
                        .insert(id.to_owned(), body["device_keys"].clone());
                }
                ok(json!({"one_time_key_counts": {"signed_curve25519": 50}}))
            }
            "/keys/device_signing/upload" => self.publish(&body),
            "/keys/signatures/upload" => {
                for (id, object) in body.as_object().unwrap().values().next()?.as_object()? {
                    merge(self.devices.get_mut(id)?, object);
                }
                ok(json!({"failures": {}}))
            }
            "/room_keys/version" if line.starts_with("POST") => {
                let mut version = body;
                version["version"] = json!("1");
                self.backup = Some(version);
                ok(json!({"version": "1"}))
            }
            "/room_keys/version" => match &self.backup {
                Some(version) => ok(version.clone()),
                None => Message::error(404, "M_NOT_FOUND", "no backup"),
            },
            _ => return None,
        })
    }

    fn send(&mut self, kind: &str, body: &Value) {
        for (user, devices) in body["messages"].as_object().unwrap() {
            for (device, content) in devices.as_object().unwrap() {
                let event = json!({"type": kind, "sender": user, "content": content});
                self.inboxes.entry(device.clone()).or_default().push(event);
            }
        }
    }

    fn query(&self, user: &str) -> Value {
        let mut answer = json!({"device_keys": {user: self.devices}, "failures": {}});
        for (name, key) in &self.identity {
            answer[format!("{name}s")] = json!({user: key});
        }
        answer
    }

    /// Other keys than those that are there need the password.
    fn publish(&mut self, body: &Value) -> Message {
        let names = ["master_key", "self_signing_key", "user_signing_key"];
        let is_known = names.iter().all(|name| {
            self.identity
                .get(*name)
                .is_some_and(|key| key["keys"] == body[name]["keys"])
        });
        let flows =
            json!({"session": "S", "params": {}, "flows": [{"stages": ["m.login.password"]}]});
        if !self.identity.is_empty() && !is_known {
            match body["auth"]["password"].as_str() {
                Some(PASSWORD) => {}
                Some(_) => {
                    let mut wrong = flows;
                    wrong["errcode"] = json!("M_FORBIDDEN");
                    return Message::answer(401, "application/json", wrong.to_string());
                }
                None => return Message::answer(401, "application/json", flows.to_string()),
            }
        }
        for name in names {
            self.identity.insert(name.to_owned(), body[name].clone());
        }
        Message::answer(200, "application/json", "{}")
    }
}

impl Message {
    /// An answer that went well.
    pub(crate) fn json(body: &Value) -> Self {
        Self::answer(200, "application/json", body.to_string())
    }

    pub(crate) fn is_keys_query(&self) -> bool {
        self.head.contains("/keys/query ")
    }
}

fn merge(stored: &mut Value, signed: &Value) {
    for (user, signatures) in signed["signatures"].as_object().unwrap() {
        for (key, signature) in signatures.as_object().unwrap() {
            stored["signatures"][user][key] = signature.clone();
        }
    }
}
