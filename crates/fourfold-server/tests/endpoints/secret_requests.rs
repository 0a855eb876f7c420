//! `m.secret.request` in inboxes: what the server makes of it, and what it leaves alone.

use std::time::Duration;

use serde_json::{Value, json};

use crate::to_device::messages;
use crate::under_test::{Person, Reply, UnderTest};

struct Conversation {
    server: UnderTest,
    asking: Person,
    asked: Person,
    sent: u32,
}

impl Conversation {
    async fn start() -> Self {
        let server = UnderTest::with(|config| config.storage.quotas.inbox.all.messages = 4).await;
        let asking = server.register("alice").await;
        let asked = server.login("alice", "ASKED").await;
        Self {
            server,
            asking,
            asked,
            sent: 0,
        }
    }

    async fn send(&mut self, event_type: &str, content: &Value) {
        self.is_sent(event_type, content).await.ok();
    }

    async fn is_sent(&mut self, event_type: &str, content: &Value) -> Reply {
        self.sent += 1;
        let path = format!("/sendToDevice/{event_type}/{}", self.sent);
        let mut body = json!({ "messages": {} });
        body["messages"][&self.asked.user][&self.asked.device] = content.clone();
        let token = Some(self.asking.token.as_str());
        let reply = self.server.send("PUT", &path, token, body.to_string());
        reply.await
    }

    fn content(&self, action: &str, id: &str) -> Value {
        json!({
            "action": action, "request_id": id, "name": "m.megolm_backup.v1",
            "requesting_device_id": self.asking.device,
        })
    }

    async fn ask(&mut self, id: &str) {
        let content = self.content("request", id);
        self.send("m.secret.request", &content).await;
    }

    async fn asks_in_vain(&mut self, id: &str) {
        let content = self.content("request", id);
        let reply = self.is_sent("m.secret.request", &content).await;
        reply.is(507, "M_RESOURCE_LIMIT_EXCEEDED");
    }

    async fn cancel(&mut self, id: &str) {
        let content = self.content("request_cancellation", id);
        self.send("m.secret.request", &content).await;
    }

    /// Action and request ID of each event that waits.
    async fn sees(&self) -> Vec<(String, String)> {
        let sync = self.server.sync(&self.asked, "").await;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let event = |event: &Value| {
            let content = &event["content"];
            (text(&content["action"]), text(&content["request_id"]))
        };
        messages(&sync).iter().map(event).collect()
    }
}

fn seen(events: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(action, id): &(&str, &str)| ((*action).to_owned(), (*id).to_owned());
    events.iter().map(owned).collect()
}

#[tokio::test]
async fn a_cancelled_request_is_never_delivered_unless_it_was() {
    let mut alice = Conversation::start().await;
    alice.ask("1").await;
    alice.cancel("1").await;
    assert_eq!(alice.sees().await, []);
    alice.ask("2").await;
    assert_eq!(alice.sees().await, seen(&[("request", "2")]));
    alice.cancel("2").await;
    assert_eq!(alice.sees().await, seen(&[("request_cancellation", "2")]));
}

#[tokio::test]
async fn after_a_restart_a_cancellation_is_delivered() {
    let mut alice = Conversation::start().await;
    alice.ask("1").await;
    // The device may have seen it; nobody remembers.
    alice.server = alice.server.restart().await;
    alice.cancel("1").await;
    assert_eq!(alice.sees().await, seen(&[("request_cancellation", "1")]));
}

#[tokio::test]
async fn what_is_encrypted_or_malformed_is_only_a_message() {
    let mut alice = Conversation::start().await;
    let ask = alice.content("request", "1");
    let mut cancel = alice.content("request_cancellation", "1");
    alice.send("m.room.encrypted", &ask).await;
    alice.send("m.room.encrypted", &cancel).await;
    assert_eq!(alice.sees().await.len(), 2);
    alice.ask("1").await;
    cancel["request_id"] = json!(1);
    alice.send("m.secret.request", &cancel).await;
    assert_eq!(alice.sees().await.len(), 4);
}

#[tokio::test]
async fn a_request_leaves_with_the_device_that_asked() {
    let mut alice = Conversation::start().await;
    alice.ask("1").await;
    let token = Some(alice.asking.token.as_str());
    alice.server.send("POST", "/logout", token, "").await.ok();
    assert_eq!(alice.sees().await, []);
}

// shows: SRV-11, TD-08
#[tokio::test]
async fn td_08_a_full_inbox_drops_expired_requests_before_it_refuses() {
    let mut alice = Conversation::start().await;
    for id in ["1", "2"] {
        alice.ask(id).await;
    }
    alice.server.clock.advance(Duration::from_secs(14 * 60));
    for id in ["3", "4"] {
        alice.ask(id).await;
    }
    alice.asks_in_vain("5").await;
    let ids = async |alice: &Conversation| -> Vec<String> {
        alice.sees().await.into_iter().map(|(_, id)| id).collect()
    };
    assert_eq!(ids(&alice).await, ["1", "2", "3", "4"]);
    alice.server.clock.advance(Duration::from_secs(60));
    for id in ["6", "7"] {
        alice.ask(id).await;
    }
    alice.asks_in_vain("8").await;
    assert_eq!(ids(&alice).await, ["3", "4", "6", "7"]);
}
