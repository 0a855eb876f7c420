//! Another device of a user, made without the client under test: it says what a test likes.

use std::collections::{BTreeMap, HashMap};
use std::io::BufReader;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use fourfold_hostile::{Device, Forger, Signer, sign_with};
use serde_json::{Value, json};
use vodozemac::Curve25519PublicKey;
use vodozemac::olm::{Account, OlmMessage, Session, SessionConfig};

use crate::homeserver::PASSWORD;
use crate::proxy::Message;

/// A device with keys of its own.
pub(crate) struct Peer {
    server: String,
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) account: Account,
    token: String,
    since: Option<String>,
    sessions: HashMap<String, Session>,
    transaction: u64,
    /// The encrypted events that came, as they were decrypted.
    pub(crate) decrypted: Vec<Value>,
}

/// A device as this one encrypts for it.
pub(crate) struct Target {
    pub(crate) device_id: String,
    curve25519: String,
    pub(crate) ed25519: String,
}

impl Peer {
    /// Logs in and publishes its keys.
    pub(crate) fn log_in(address: &str, name: &str) -> Self {
        let mut peer = Self {
            server: address.strip_prefix("http://").unwrap().to_owned(),
            user_id: format!("@{name}:localhost"),
            device_id: String::new(),
            account: Account::new(),
            token: String::new(),
            since: None,
            sessions: HashMap::new(),
            transaction: 0,
            decrypted: Vec::new(),
        };
        let logged_in = peer.call(
            "POST",
            "login",
            &json!({
                "type": "m.login.password",
                "identifier": {"type": "m.id.user", "user": name},
                "password": PASSWORD,
            }),
        );
        peer.device_id = text(&logged_in["device_id"]);
        peer.token = text(&logged_in["access_token"]);
        peer.publish();
        peer
    }

    fn publish(&mut self) {
        self.account.generate_one_time_keys(5);
        let keys: Vec<_> = self.account.one_time_keys().into_iter().collect();
        let signed: BTreeMap<_, _> = keys
            .into_iter()
            .map(|(id, key)| {
                let key = self.sign(json!({"key": key.to_base64()}));
                (format!("signed_curve25519:{}", id.to_base64()), key)
            })
            .collect();
        let body = json!({"device_keys": self.device_keys(), "one_time_keys": signed});
        self.call("POST", "keys/upload", &body);
        self.account.mark_keys_as_published();
    }

    /// Its keys, signed by itself.
    pub(crate) fn device_keys(&self) -> Value {
        self.device_keys_as(&self.device_id)
    }

    /// Its keys as if it had this ID.
    pub(crate) fn device_keys_as(&self, id: &str) -> Value {
        let keys = json!({
            "user_id": self.user_id,
            "device_id": id,
            "algorithms": ["m.olm.v1.curve25519-aes-sha2"],
            "keys": {
                format!("ed25519:{id}"): self.account.ed25519_key().to_base64(),
                format!("curve25519:{id}"): self.account.curve25519_key().to_base64(),
            },
        });
        self.sign_as(keys, id)
    }

    /// As the homeserver knows it.
    pub(crate) fn device(&self) -> Device {
        Device {
            id: self.device_id.clone(),
            curve25519: self.account.curve25519_key().to_base64(),
            ed25519: self.account.ed25519_key().to_base64(),
        }
    }

    /// Its key, in the hands of an attacker.
    pub(crate) fn signer(&self) -> Signer {
        let account = Account::from_pickle(self.account.pickle());
        let key_id = format!("ed25519:{}", self.device_id);
        Signer::new(key_id, move |message| account.sign(message).to_bytes())
    }

    fn sign(&self, object: Value) -> Value {
        self.sign_as(object, &self.device_id)
    }

    fn sign_as(&self, object: Value, id: &str) -> Value {
        let sign = |message: &str| self.account.sign(message).to_bytes();
        let key_id = format!("ed25519:{id}");
        let signed = sign_with(&object.to_string(), &self.user_id, &key_id, sign);
        serde_json::from_str(&signed).unwrap()
    }

    /// Its keys with the signature of this key too.
    pub(crate) fn cross_signed(&self, key: &Forger) -> Value {
        signed_by(&self.device_keys(), key, &self.user_id)
    }

    /// Publishes the signature of this key.
    pub(crate) fn verify(self, key: &Forger) -> Self {
        let body = json!({&self.user_id: {&self.device_id: self.cross_signed(key)}});
        let answer = self.call("POST", "keys/signatures/upload", &body);
        assert_eq!(answer["failures"], json!({}));
        self
    }

    /// A call of the client API.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        call(&self.server, &self.token, method, path, body.to_string())
    }

    /// The keys of a device as the homeserver has them.
    pub(crate) fn target(&self, device_id: &str) -> Target {
        let query = json!({"device_keys": {&self.user_id: []}});
        let query = self.call("POST", "keys/query", &query);
        let keys = &query["device_keys"][&self.user_id][device_id]["keys"];
        Target {
            curve25519: text(&keys[format!("curve25519:{device_id}")]),
            ed25519: text(&keys[format!("ed25519:{device_id}")]),
            device_id: device_id.to_owned(),
        }
    }

    /// Sends an event as it is, to a device of a user.
    pub(crate) fn send_to(&mut self, user: &str, device: &str, event_type: &str, content: &Value) {
        self.transaction += 1;
        let path = format!("sendToDevice/{event_type}/{}", self.transaction);
        let body = json!({"messages": {user: {device: content}}});
        self.call("PUT", &path, &body);
    }

    pub(crate) fn send(&mut self, to: &Target, event_type: &str, content: &Value) {
        let user = self.user_id.clone();
        self.send_to(&user, &to.device_id, event_type, content);
    }

    /// What is to be encrypted, as it should be.
    pub(crate) fn payload(&self, to: &Target, event_type: &str, content: &Value) -> Value {
        json!({
            "type": event_type,
            "content": content,
            "sender": self.user_id,
            "recipient": self.user_id,
            "recipient_keys": {"ed25519": to.ed25519},
            "keys": {"ed25519": self.account.ed25519_key().to_base64()},
            "sender_device_keys": self.device_keys(),
        })
    }

    /// Encrypts this: the content of an `m.room.encrypted` event.
    pub(crate) fn encrypt(&mut self, to: &Target, owner: &str, payload: &Value) -> Value {
        if !self.sessions.contains_key(&to.curve25519) {
            let session = self.begin(to, owner);
            self.sessions.insert(to.curve25519.clone(), session);
        }
        let session = self.sessions.get_mut(&to.curve25519).unwrap();
        let message = session.encrypt(payload.to_string()).unwrap();
        let (kind, body) = message.to_parts();
        json!({
            "algorithm": "m.olm.v1.curve25519-aes-sha2",
            "sender_key": self.account.curve25519_key().to_base64(),
            "ciphertext": {&to.curve25519: {
                "type": kind,
                "body": fourfold::base64::encode(body),
            }},
        })
    }

    fn begin(&self, to: &Target, owner: &str) -> Session {
        let claim = json!({"one_time_keys": {owner: {&to.device_id: "signed_curve25519"}}});
        let claimed = self.call("POST", "keys/claim", &claim);
        let keys = claimed["one_time_keys"][owner][&to.device_id]
            .as_object()
            .unwrap();
        let one_time_key = keys.values().next().unwrap()["key"].as_str().unwrap();
        self.account
            .create_outbound_session(
                SessionConfig::version_1(),
                Curve25519PublicKey::from_base64(&to.curve25519).unwrap(),
                Curve25519PublicKey::from_base64(one_time_key).unwrap(),
            )
            .unwrap()
    }

    /// Encrypts so many messages that never arrive.
    pub(crate) fn lose(&mut self, to: &Target, messages: usize) {
        let session = self.sessions.get_mut(&to.curve25519).unwrap();
        for _ in 0..messages {
            session.encrypt("lost").unwrap();
        }
    }

    /// Begins a new session with the next message.
    pub(crate) fn forget_session(&mut self, with: &Target) {
        self.sessions.remove(&with.curve25519);
    }

    /// Answers a request.
    pub(crate) fn answer(&mut self, to: &Target, request_id: &str, secret: &str) {
        let content = json!({"request_id": request_id, "secret": secret});
        let payload = self.payload(to, "m.secret.send", &content);
        self.send_payload(to, &payload);
    }

    pub(crate) fn send_payload(&mut self, to: &Target, payload: &Value) {
        let user = self.user_id.clone();
        let content = self.encrypt(to, &user, payload);
        self.send(to, "m.room.encrypted", &content);
    }

    /// Asks for a secret.
    pub(crate) fn ask(&mut self, to: &Target, request_id: &str, name: &str) {
        let content = self.request(request_id, name);
        self.send(to, "m.secret.request", &content);
    }

    /// The content of a request.
    pub(crate) fn request(&self, request_id: &str, name: &str) -> Value {
        json!({
            "action": "request",
            "name": name,
            "request_id": request_id,
            "requesting_device_id": self.device_id,
        })
    }

    /// What came, after waiting at most so many milliseconds for it. Encrypted events are decrypted.
    pub(crate) fn sync(&mut self, timeout: u32) -> Vec<Value> {
        let since = self.since.as_ref();
        let since = since.map(|since| format!("&since={since}"));
        let path = format!("sync?timeout={timeout}{}", since.unwrap_or_default());
        let answer = self.call("GET", &path, &json!({}));
        self.since = Some(text(&answer["next_batch"]));
        let events = answer["to_device"]["events"].as_array();
        let events = events.cloned().unwrap_or_default();
        for event in &events {
            if event["type"] == "m.room.encrypted" {
                let payload = self.decrypt(&event["content"]);
                self.decrypted.push(payload);
            }
        }
        events
    }

    fn decrypt(&mut self, content: &Value) -> Value {
        let sender = text(&content["sender_key"]);
        let ours = &content["ciphertext"][self.account.curve25519_key().to_base64()];
        let body = fourfold::base64::decode(ours["body"].as_str().unwrap()).unwrap();
        let kind = usize::try_from(ours["type"].as_u64().unwrap()).unwrap();
        let message = OlmMessage::from_parts(kind, &body.bytes).unwrap();
        if let Some(session) = self.sessions.get_mut(&sender)
            && let Ok(plaintext) = session.decrypt(&message)
        {
            return serde_json::from_slice(&plaintext).unwrap();
        }
        let OlmMessage::PreKey(message) = message else {
            panic!("there is no session");
        };
        let key = Curve25519PublicKey::from_base64(&sender).unwrap();
        let begun = self
            .account
            .create_inbound_session(SessionConfig::version_1(), key, &message)
            .unwrap();
        self.sessions.insert(sender, begun.session);
        serde_json::from_slice(&begun.plaintext).unwrap()
    }

    /// The secrets that were sent to it, with the IDs of the requests.
    pub(crate) fn secrets(&self) -> Vec<(String, String)> {
        let sent = self.decrypted.iter();
        let sent = sent.filter(|payload| payload["type"] == "m.secret.send");
        sent.map(|payload| {
            let content = &payload["content"];
            (text(&content["request_id"]), text(&content["secret"]))
        })
        .collect()
    }

    /// Waits for the answer to a request.
    pub(crate) fn wait_for_answer(&mut self, request_id: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some((_, secret)) = self.secrets().into_iter().find(|(id, _)| id == request_id) {
                return secret;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no answer");
            self.sync(1000);
        }
    }

    /// Waits for a request: its ID.
    pub(crate) fn wait_for_request(&mut self) -> String {
        let begun = Instant::now();
        loop {
            let events = self.sync(1000);
            let request = events.iter().find(|event| {
                event["type"] == "m.secret.request" && event["content"]["action"] == "request"
            });
            if let Some(request) = request {
                return text(&request["content"]["request_id"]);
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "no request");
        }
    }
}

/// A call of the client API with this token.
pub(crate) fn call(server: &str, token: &str, method: &str, path: &str, body: String) -> Value {
    let request = Message {
        head: format!(
            "{method} /_matrix/client/v3/{path} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {token}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ),
        body: body.into_bytes(),
    };
    let mut server = TcpStream::connect(server).unwrap();
    request.write(&mut server);
    let answer = Message::read(&mut BufReader::new(server)).unwrap();
    let status = answer.head.split(' ').nth(1).unwrap();
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(status, "200", "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// An object with one more signature.
pub(crate) fn signed_by(object: &Value, key: &Forger, user_id: &str) -> Value {
    serde_json::from_str(&key.sign(&object.to_string(), user_id)).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
