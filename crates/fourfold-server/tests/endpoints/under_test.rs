//! A server in a temporary folder, and people who use it.

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use fourfold_server::store::Timestamp;
use fourfold_server::{Clock, Config, Homeserver, PasswordCost, RateLimits};
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

/// The password of everyone.
pub(crate) const PASSWORD: &str = "correct horse";

/// A server without a socket.
pub(crate) struct UnderTest {
    pub(crate) homeserver: Homeserver,
    pub(crate) router: Router,
    pub(crate) clock: Clock,
    pub(crate) folder: TempDir,
}

/// Someone who is logged in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) user: String,
    pub(crate) device: String,
    pub(crate) token: String,
    pub(crate) body: Value,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What is left of a server that was stopped.
pub(crate) struct Stopped {
    clock: Clock,
    pub(crate) folder: TempDir,
}

impl Stopped {
    pub(crate) async fn start_again(self) -> UnderTest {
        self.start_again_with(|_| {}).await
    }

    pub(crate) async fn start_again_with(self, change: impl FnOnce(&mut Config)) -> UnderTest {
        let Self { clock, folder } = self;
        let mut config = config(&folder);
        config.clock = clock.clone();
        change(&mut config);
        let homeserver = Homeserver::open(config).await.unwrap();
        UnderTest {
            router: homeserver.router(),
            homeserver,
            clock,
            folder,
        }
    }
}

/// A configuration that tests run with: cheap passwords, no limits.
pub(crate) fn config(folder: &TempDir) -> Config {
    let mut config = Config::new("localhost", folder.path().join("data"));
    config.network.bind.set_port(0);
    config.accounts.password_cost = PasswordCost::minimal();
    config.rate_limits = RateLimits::disabled();
    config
}

impl UnderTest {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Clock::manual(Timestamp(1_700_000_000_000));
        let mut config = config(&folder);
        config.clock = clock.clone();
        change(&mut config);
        let homeserver = Homeserver::open(config).await.unwrap();
        Self {
            router: homeserver.router(),
            homeserver,
            clock,
            folder,
        }
    }

    /// Ends the server and starts another one on its folder.
    pub(crate) async fn restart(self) -> Self {
        self.stop().await.start_again().await
    }

    /// Ends the server and leaves its folder.
    pub(crate) async fn stop(self) -> Stopped {
        self.homeserver.close().await;
        let Self {
            homeserver,
            router,
            clock,
            folder,
        } = self;
        // They hold the lock of the folder.
        drop((router, homeserver));
        Stopped { clock, folder }
    }

    /// Sends a request to a path under the prefix, or to a whole path.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: impl Into<Body>,
    ) -> Reply {
        self.send_with(method, path, token, &[], body).await
    }

    /// As [`send`](Self::send), with more headers.
    pub(crate) async fn send_with(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Reply {
        let full = if path.starts_with("/_matrix") || path.starts_with("/.well-known") {
            path.to_owned()
        } else {
            format!("/_matrix/client/v3{path}")
        };
        let mut request = Request::builder().method(method).uri(full);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        }
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, None, body.to_string()).await
    }

    pub(crate) async fn register(&self, name: &str) -> Person {
        let reply = self
            .post(
                "/register",
                json!({
                    "username": name,
                    "password": PASSWORD,
                    "auth": { "type": "m.login.dummy" },
                }),
            )
            .await;
        Person::from(reply)
    }

    pub(crate) async fn login(&self, name: &str, device: &str) -> Person {
        let reply = self
            .post(
                "/login",
                json!({
                    "type": "m.login.password",
                    "identifier": { "type": "m.id.user", "user": name },
                    "password": PASSWORD,
                    "device_id": device,
                }),
            )
            .await;
        Person::from(reply)
    }

    pub(crate) async fn get(&self, person: &Person, path: &str) -> Reply {
        self.send("GET", path, Some(&person.token), Body::empty())
            .await
    }

    pub(crate) async fn put(&self, person: &Person, event_type: &str, content: &str) -> Reply {
        self.send(
            "PUT",
            &person.path(event_type),
            Some(&person.token),
            content.to_owned(),
        )
        .await
    }

    pub(crate) async fn sync(&self, person: &Person, query: &str) -> Value {
        self.get(person, &format!("/sync?{query}")).await.ok()
    }
}

impl Person {
    /// The path of a type of account data.
    pub(crate) fn path(&self, event_type: &str) -> String {
        format!(
            "/user/{}/account_data/{}",
            self.user,
            percent_encode(event_type)
        )
    }
}

impl From<Reply> for Person {
    fn from(reply: Reply) -> Self {
        let body = reply.ok();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self {
            user: text("user_id"),
            device: text("device_id"),
            token: text("access_token"),
            body,
        }
    }
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16, errcode: &str) {
        let body = self.json();
        assert_eq!(
            (self.status, body["errcode"].as_str()),
            (status, Some(errcode)),
            "{body}"
        );
        assert!(body["error"].is_string(), "{body}");
    }
}

/// Encodes everything but letters and digits.
pub(crate) fn percent_encode(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// Polls a future a few times, which must leave it waiting.
pub(crate) async fn waits<F: Future + Unpin>(future: &mut F) {
    for _ in 0..20 {
        tokio::select! {
            biased;
            _ = &mut *future => panic!("it did not wait"),
            () = tokio::task::yield_now() => {}
        }
    }
}

/// The `(type, content)` pairs of a sync.
pub(crate) fn events(sync: &Value) -> Vec<(String, Value)> {
    let events = sync["account_data"]["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| {
            (
                event["type"].as_str().unwrap().to_owned(),
                event["content"].clone(),
            )
        })
        .collect()
}
