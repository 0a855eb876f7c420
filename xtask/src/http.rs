//! HTTP to a homeserver on this machine, as little as the live runs and the benchmarks need.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::{Agent, http};

use crate::failure::Failure;

/// The password of every user that we register.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A homeserver, and perhaps a session on it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// The response of a homeserver.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// A device that is logged in.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) user_id: String,
    pub(crate) device_id: String,
    pub(crate) token: String,
}

impl Client {
    /// A client without a session. `base` is a URL without a path.
    pub(crate) fn new(base: &str) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        Self {
            agent,
            base: base.to_owned(),
            token: None,
        }
    }

    /// The same with another session, or none.
    pub(crate) fn with_token(&self, token: Option<String>) -> Self {
        Self {
            token,
            ..self.clone()
        }
    }

    /// Sends a request. The path goes out exactly as given: escapes in it stay as they are.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::Check(format!("{method} {}{path}: {error}", self.base))
        };
        let mut request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = match body {
            Some(body) => self.agent.run(
                request
                    .header("content-type", "application/json")
                    .body(body.to_string())
                    .map_err(|error| failed(&error))?,
            ),
            None => self
                .agent
                .run(request.body(()).map_err(|error| failed(&error))?),
        };
        let mut answer = answer.map_err(|error| failed(&error))?;
        let text = answer
            .body_mut()
            .read_to_string()
            .map_err(|error| failed(&error))?;
        let body = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        Ok(Answer {
            status: answer.status().as_u16(),
            body,
        })
    }

    /// Sends a request that must be answered with 200 and gives the body.
    pub(crate) fn must(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let answer = self.send(method, path, body)?;
        if answer.status == 200 {
            Ok(answer.body)
        } else {
            Err(Failure::Check(format!(
                "{method} {path} was answered with {} {}, not 200",
                answer.status, answer.body
            )))
        }
    }

    /// Registers a user through the dummy stage, which gives a first device.
    pub(crate) fn register(&self, name: &str) -> Result<Session, Failure> {
        let path = "/_matrix/client/v3/register";
        let mut body = json!({ "username": name, "password": PASSWORD });
        let asked = self.send("POST", path, Some(&body))?;
        let answered = if asked.status == 401 {
            let session = asked.body.get("session").cloned().unwrap_or_default();
            if let Some(members) = body.as_object_mut() {
                let auth = json!({ "type": "m.login.dummy", "session": session });
                members.insert("auth".to_owned(), auth);
            }
            self.must("POST", path, Some(&body))?
        } else {
            asked.body
        };
        self.session(&answered)
    }

    /// Logs a user in, which gives another device.
    pub(crate) fn log_in(&self, name: &str) -> Result<Session, Failure> {
        let body = json!({
            "type": "m.login.password",
            "identifier": { "type": "m.id.user", "user": name },
            "password": PASSWORD,
        });
        self.session(&self.must("POST", "/_matrix/client/v3/login", Some(&body))?)
    }

    fn session(&self, answer: &Value) -> Result<Session, Failure> {
        let member = |name: &str| {
            answer
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
                .ok_or_else(|| {
                    Failure::Check(format!("the answer to a login has no {name}: {answer}"))
                })
        };
        let token = member("access_token")?;
        let client = self.with_token(Some(token.clone()));
        Ok(Session {
            client,
            user_id: member("user_id")?,
            device_id: member("device_id")?,
            token,
        })
    }
}

impl Session {
    /// The path of a sync that waits for to-device messages only, for so many milliseconds.
    pub(crate) fn sync(&self, since: Option<&str>, timeout: u32) -> String {
        let nothing = "%7B%22types%22:%5B%5D%7D";
        let filter = format!(
            "%7B%22presence%22:{nothing},%22account_data%22:{nothing},\
             %22room%22:%7B%22rooms%22:%5B%5D%7D%7D"
        );
        let since = since.map_or_else(String::new, |since| format!("&since={since}"));
        format!("/_matrix/client/v3/sync?timeout={timeout}&filter={filter}{since}")
    }

    /// The path of one event of the user's account data; `event_type` is already escaped.
    pub(crate) fn account_data(&self, event_type: &str) -> String {
        let user = self.user_id.replace('@', "%40").replace(':', "%3A");
        format!("/_matrix/client/v3/user/{user}/account_data/{event_type}")
    }
}
