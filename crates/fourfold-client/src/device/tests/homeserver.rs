//! A homeserver in memory that knows devices and what is sent to them, and that can fail at any
//! request: before it did anything, or after it did everything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;
use crate::testing::{Received, Reply, Server, once, percent_decode};
use crate::transport::RecordedPauses;
use crate::{AccessToken, Account, Homeserver, Options};

/// What the server holds. Tests look into it and change it, as a hostile server would.
#[derive(Clone, Default)]
pub(super) struct World {
    pub(super) device_keys: BTreeMap<String, Value>,
    pub(super) cross_signing: BTreeMap<String, Value>,
    one_time_keys: BTreeMap<String, BTreeMap<String, Value>>,
    fallback_keys: BTreeMap<String, Value>,
    pub(super) backup: Option<Value>,
    /// Whether the server fails to say which backup there is.
    pub(super) is_backup_broken: bool,
    /// Whether nothing sensible is answered to a query.
    pub(super) is_query_broken: bool,
    /// Whether a query is not answered at all.
    pub(super) is_query_silent: bool,
    /// The path that is not answered, which [`Fake::kill`] tells.
    pub(super) silent_at: Option<String>,
    /// The devices whose keys are shown, and which are not logged in.
    pub(super) logged_out: BTreeSet<String>,
    /// What is answered to the question who is logged in, if not the truth.
    pub(super) devices_answer: Option<(u16, Value)>,
    /// Events for a device, each with its position.
    pub(super) inbox: BTreeMap<String, Vec<(u64, Value)>>,
    /// Every to-device event that was taken, with its transaction ID and its receiver.
    pub(super) delivered: Vec<(String, String, Value)>,
    transactions: Vec<(String, String)>,
    /// The position at which the list of devices changed last.
    devices_changed: u64,
    position: u64,
    /// The number of requests that came, and at which one to fail.
    pub(super) requests: usize,
    pub(super) fail: Option<Failure>,
    kill: Arc<Notify>,
    /// The requests, by device and path.
    pub(super) log: Vec<(String, String)>,
}

/// At which request, and whether it is carried out anyway.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failure {
    pub(super) at: usize,
    pub(super) after: bool,
    /// Whether the program ends at this moment: there is no answer, and [`Fake::kill`] tells.
    pub(super) kills: bool,
}

/// The server and a way into it.
pub(super) struct Fake {
    pub(super) world: Arc<Mutex<World>>,
    server: Server,
    kill: Arc<Notify>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        Self::with_world(World::default()).await
    }

    pub(super) async fn with_world(world: World) -> Self {
        let world = Arc::new(Mutex::new(world));
        let shared = Arc::clone(&world);
        let server = Server::start(move |request| shared.lock().unwrap().answer(request)).await;
        let kill = Arc::clone(&world.lock().unwrap().kill);
        Self {
            world,
            server,
            kill,
        }
    }

    /// Tells when the program that is being tested is to end.
    pub(super) fn kill(&self) -> Arc<Notify> {
        Arc::clone(&self.kill)
    }

    pub(super) fn base_url(&self) -> &str {
        &self.server.base_url
    }

    pub(super) fn account(&self, device_id: &str) -> Account {
        self.account_with(device_id, &once())
    }

    pub(super) fn account_with(&self, device_id: &str, options: &Options) -> Account {
        let homeserver = Homeserver::new(self.base_url(), options).unwrap();
        let session = Session::new(
            self.base_url(),
            USER,
            Some(device_id.to_owned()),
            AccessToken::new(device_id),
        );
        homeserver.account(session).unwrap()
    }

    /// With pauses that are recorded and take no time.
    pub(super) fn account_without_pauses(
        &self,
        device_id: &str,
        options: &Options,
    ) -> (Account, RecordedPauses) {
        let pauses = RecordedPauses::recorded();
        let mut homeserver = Homeserver::new(self.base_url(), options).unwrap();
        homeserver.transport = homeserver.transport.with_pauses(pauses.clone());
        let session = self.account(device_id).session().clone();
        (homeserver.account(session).unwrap(), pauses)
    }

    /// Looks into the server, or changes it.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.lock().unwrap())
    }
}

impl World {
    /// Everybody is told that the devices changed.
    pub(super) fn changed(&mut self) {
        self.position += 1;
        self.devices_changed = self.position;
    }

    /// Puts an event into an inbox.
    pub(super) fn deliver(&mut self, to: &str, event_type: &str, sender: &str, content: &Value) {
        self.position += 1;
        let event = json!({"type": event_type, "sender": sender, "content": content});
        let inbox = self.inbox.entry(to.to_owned()).or_default();
        inbox.push((self.position, event));
    }

    /// Puts keys of somebody else in the place of those of a device.
    pub(super) fn forge_one_time_keys(&mut self, device: &str) {
        let keys = self.one_time_keys.get_mut(device).unwrap();
        for key in keys.values_mut() {
            key["key"] = json!("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo");
        }
    }

    /// So many one-time keys are claimed by devices that say nothing.
    pub(super) fn use_up(&mut self, device: &str, count: usize) {
        for _ in 0..count {
            self.one_time_keys.get_mut(device).unwrap().pop_first();
        }
    }

    fn answer(&mut self, request: &Received) -> Reply {
        self.requests += 1;
        let device = request.headers["authorization"]
            .strip_prefix("Bearer ")
            .unwrap()
            .to_owned();
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((&request.target, ""));
        let path = path.strip_prefix("/_matrix/client/v3/").unwrap().to_owned();
        self.log.push((device.clone(), path.clone()));
        if self.silent_at.as_ref() == Some(&path) {
            self.kill.notify_one();
            return Reply::Hang(String::new());
        }
        let failure = self.fail.filter(|fail| fail.at == self.requests);
        let body = serde_json::from_str(&request.body).unwrap_or(Value::Null);
        match failure {
            None => self.route(&device, &path, query, &body),
            Some(failure) => {
                if failure.after {
                    self.route(&device, &path, query, &body);
                }
                if !failure.kills {
                    return Reply::Drop;
                }
                self.kill.notify_one();
                Reply::Hang(String::new())
            }
        }
    }

    fn route(&mut self, device: &str, path: &str, query: &str, body: &Value) -> Reply {
        match path.split('/').collect::<Vec<_>>().as_slice() {
            ["keys", "upload"] => self.upload(device, body),
            ["keys", "query"] if self.is_query_silent => Reply::Hang(String::new()),
            ["keys", "query"] if self.is_query_broken => Reply::error(400, "M_UNKNOWN"),
            ["keys", "query"] => Reply::json(200, self.query().to_string()),
            ["devices"] => self.devices(),
            ["keys", "claim"] => self.claim(body),
            ["sendToDevice", event_type, transaction] => {
                self.send(device, event_type, transaction, body)
            }
            ["sync"] => self.sync(device, query),
            ["room_keys", "version"] if self.is_backup_broken => Reply::error(500, "M_UNKNOWN"),
            ["room_keys", "version"] => match &self.backup {
                Some(backup) => Reply::json(200, backup.to_string()),
                None => Reply::error(404, "M_NOT_FOUND"),
            },
            _ => Reply::error(404, "M_UNRECOGNIZED"),
        }
    }

    fn upload(&mut self, device: &str, body: &Value) -> Reply {
        if let Some(keys) = body.get("device_keys") {
            self.device_keys.insert(device.to_owned(), keys.clone());
            self.changed();
        }
        let stored = self.one_time_keys.entry(device.to_owned()).or_default();
        for (id, key) in body["one_time_keys"].as_object().into_iter().flatten() {
            match stored.get(id) {
                Some(there) if there != key => {
                    return Reply::json(
                        400,
                        r#"{"errcode":"M_UNKNOWN","error":"One time key already exists."}"#,
                    );
                }
                _ => stored.insert(id.clone(), key.clone()),
            };
        }
        let count = stored.len();
        if let Some(keys) = body.get("fallback_keys") {
            self.fallback_keys.insert(device.to_owned(), keys.clone());
        }
        Reply::json(
            200,
            json!({"one_time_key_counts": {"signed_curve25519": count}}).to_string(),
        )
    }

    fn query(&self) -> Value {
        let mut answer = json!({"device_keys": {USER: self.device_keys}, "failures": {}});
        for (member, key) in &self.cross_signing {
            answer[member] = json!({USER: key});
        }
        answer
    }

    fn devices(&self) -> Reply {
        if let Some((status, answer)) = &self.devices_answer {
            return Reply::json(*status, answer.to_string());
        }
        let ids = self.device_keys.keys();
        let listed = ids.filter(|id| !self.logged_out.contains(*id));
        let devices: Vec<_> = listed.map(|id| json!({"device_id": id})).collect();
        Reply::json(200, json!({"devices": devices}).to_string())
    }

    fn claim(&mut self, body: &Value) -> Reply {
        let mut claimed = BTreeMap::new();
        for device in body["one_time_keys"][USER].as_object().unwrap().keys() {
            let stored = self.one_time_keys.entry(device.clone()).or_default();
            if let Some((id, key)) = stored.pop_first() {
                claimed.insert(device.clone(), json!({id: key}));
            } else if let Some(keys) = self.fallback_keys.get(device) {
                claimed.insert(device.clone(), keys.clone());
            }
        }
        Reply::json(
            200,
            json!({"one_time_keys": {USER: claimed}, "failures": {}}).to_string(),
        )
    }

    fn send(&mut self, device: &str, event_type: &str, transaction: &str, body: &Value) -> Reply {
        let transaction = (device.to_owned(), transaction.to_owned());
        if self.transactions.contains(&transaction) {
            return Reply::json(200, "{}");
        }
        let messages = body["messages"][USER].as_object().unwrap().clone();
        for (to, content) in messages {
            let receivers: Vec<String> = if to == "*" {
                self.device_keys.keys().cloned().collect()
            } else {
                vec![to]
            };
            for to in receivers {
                let event_type = percent_decode(event_type);
                self.delivered
                    .push((transaction.1.clone(), to.clone(), content.clone()));
                self.deliver(&to, &event_type, USER, &content);
            }
        }
        self.transactions.push(transaction);
        Reply::json(200, "{}")
    }

    fn sync(&mut self, device: &str, query: &str) -> Reply {
        let since: u64 = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("since="))
            .map_or(0, |since| since.parse().unwrap());
        let inbox = self.inbox.entry(device.to_owned()).or_default();
        inbox.retain(|(position, _)| *position > since);
        let events: Vec<_> = inbox.iter().map(|(_, event)| event.clone()).collect();
        let changed = if self.devices_changed > since {
            vec![USER]
        } else {
            Vec::new()
        };
        let count = self.one_time_keys.get(device).map_or(0, BTreeMap::len);
        let answer = json!({
            "next_batch": self.position.to_string(),
            "to_device": {"events": events},
            "device_lists": {"changed": changed, "left": []},
            "device_one_time_keys_count": {"signed_curve25519": count},
            "device_unused_fallback_key_types": ["signed_curve25519"],
        });
        Reply::json(200, answer.to_string())
    }
}
