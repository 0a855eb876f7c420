//! The users of a benchmark, and the requests that they make.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::files;
use crate::http::{Client, Session};
use crate::workspace::Workspace;

/// Users on each server.
const USERS: usize = 32;

/// The secret that is stored and read.
const SECRET: &str = "org.example.bench.secret";

/// One kind of request.
#[derive(Debug)]
pub(super) struct Workload {
    /// Its name in the table.
    pub(super) name: &'static str,
    method: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    AccountData,
    QueryKeys,
    SendToDevice,
    SyncPending,
}

/// Secrets that are stored and read.
pub(super) const ACCOUNT_DATA: &[Workload] = &[
    Workload::new("PUT account_data", "PUT", Kind::AccountData),
    Workload::new("GET account_data", "GET", Kind::AccountData),
];

/// What devices do that share secrets. Sending comes last: it fills the inboxes.
pub(super) const TO_DEVICE: &[Workload] = &[
    Workload::new("GET sync, 10 waiting", "GET", Kind::SyncPending),
    Workload::new("POST keys/query", "POST", Kind::QueryKeys),
    Workload::new("PUT sendToDevice", "PUT", Kind::SendToDevice),
];

/// Messages that wait for a device that syncs.
const WAITING: usize = 10;

/// The placeholder that the script replaces by a new number in every request.
const TRANSACTION: &str = "TRANSACTION";

impl Workload {
    const fn new(name: &'static str, method: &'static str, kind: Kind) -> Self {
        Self { name, method, kind }
    }
}

/// Two devices of every user, each with the requests that it repeats.
#[derive(Debug)]
pub(super) struct Load {
    /// First the first devices of all users, then their second ones.
    sessions: Vec<Session>,
    /// For each workload one request of each device.
    requests: Vec<Vec<Request>>,
}

#[derive(Debug)]
struct Request {
    path: String,
    token: String,
    body: Option<Value>,
}

impl Load {
    /// Registers the users, and makes every request once to see that it works.
    pub(super) fn prepare(base: &str, workloads: &[Workload]) -> Result<Self, Failure> {
        let server = Client::new(base);
        let mut sessions = Vec::new();
        for device in 0..2 {
            for user in 0..USERS {
                let name = format!("bench{user:02}");
                sessions.push(if device == 0 {
                    server.register(&name)?
                } else {
                    server.log_in(&name)?
                });
            }
        }
        let mut requests = Vec::new();
        for workload in workloads {
            let of_devices = sessions.iter().enumerate();
            requests.push(
                of_devices
                    .map(|(number, session)| Request::try_out(workload, session, number))
                    .collect::<Result<_, _>>()?,
            );
        }
        Ok(Self { sessions, requests })
    }

    /// The devices: first the first ones of all users, then their second ones.
    pub(super) fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Writes the Lua script by which wrk makes the requests of a workload, by its number, in turn.
    pub(super) fn script(
        &self,
        workspace: &Workspace,
        (number, workload): (usize, &Workload),
        server: &str,
    ) -> Result<PathBuf, Failure> {
        let path = workspace
            .target
            .join(format!("bench/{server}-{number}-{}.lua", workload.method));
        let requests = self.requests.get(number).map_or(&[][..], Vec::as_slice);
        files::write(&path, &lua(workload.method, requests))?;
        Ok(path)
    }
}

/// The script by which wrk stores the same secret again and again.
pub(super) fn repeated(session: &Session) -> String {
    let request = Request {
        path: session.account_data(SECRET),
        token: session.token.clone(),
        body: Some(encrypted_secret(0)),
    };
    lua("PUT", &[request])
}

fn lua(method: &str, requests: &[Request]) -> String {
    let mut script = format!("local method = \"{method}\"\nlocal requests = {{\n");
    for Request { path, token, body } in requests {
        let body = body
            .as_ref()
            .map_or_else(|| "nil".to_owned(), |body| format!("[==[{body}]==]"));
        script.push_str(&format!(
            "  {{ \"{path}\", \"Bearer {token}\", {body} }},\n"
        ));
    }
    script.push_str("}\n");
    script.push_str(LUA);
    script
}

impl Request {
    fn try_out(workload: &Workload, session: &Session, number: usize) -> Result<Self, Failure> {
        let client = &session.client;
        let (path, body) = match workload.kind {
            Kind::AccountData => Self::account_data(workload.method, session, number)?,
            Kind::QueryKeys => (
                "/_matrix/client/v3/keys/query".to_owned(),
                Some(json!({ "device_keys": { &session.user_id: [] } })),
            ),
            Kind::SendToDevice => (
                format!("/_matrix/client/v3/sendToDevice/m.room.encrypted/{TRANSACTION}"),
                Some(message(session, number)),
            ),
            Kind::SyncPending => (waiting(session, number)?, None),
        };
        client.must(
            workload.method,
            &path.replace(TRANSACTION, "first"),
            body.as_ref(),
        )?;
        Ok(Self {
            path,
            token: session.token.clone(),
            body,
        })
    }

    fn account_data(
        method: &str,
        session: &Session,
        number: usize,
    ) -> Result<(String, Option<Value>), Failure> {
        let path = session.account_data(SECRET);
        let value = encrypted_secret(number);
        session.client.must("PUT", &path, Some(&value))?;
        let read = session.client.must("GET", &path, None)?;
        if read != value {
            return Err(Failure::Check(format!(
                "{path}: stored {value}, read {read}"
            )));
        }
        Ok((path, (method == "PUT").then_some(value)))
    }
}

/// Sends a device messages, and gives the path of the sync that brings them again and again.
fn waiting(session: &Session, number: usize) -> Result<String, Failure> {
    let sync = session.sync(None, 0);
    let since = session.client.must("GET", &sync, None)?;
    let since = since.get("next_batch").and_then(Value::as_str);
    let since = since.ok_or_else(|| Failure::Check("a sync without next_batch".to_owned()))?;
    for place in 0..WAITING {
        let path = format!("/_matrix/client/v3/sendToDevice/m.room.encrypted/waiting{place}");
        session
            .client
            .must("PUT", &path, Some(&message(session, number)))?;
    }
    let path = session.sync(Some(since), 0);
    let answer = session.client.must("GET", &path, None)?;
    let came = answer
        .pointer("/to_device/events")
        .and_then(Value::as_array)
        .map_or(0, Vec::len);
    if came == WAITING {
        Ok(path)
    } else {
        Err(Failure::Check(format!(
            "{came} messages wait, not {WAITING}"
        )))
    }
}

/// A message of a device to itself, of the size of an Olm message that carries a secret.
pub(super) fn message(session: &Session, number: usize) -> Value {
    let ciphertext = format!("{number:04}{}", "AwogMyr7kRi6huMR6oPKR4X6FPRb".repeat(30));
    let content = json!({
        "algorithm": "m.olm.v1.curve25519-aes-sha2",
        "sender_key": "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo",
        "ciphertext": { "bVsq6tK9dGnfzE4tQmXAe0XkfSeFqqtYhXvWrXqD5jg": {
            "type": 1, "body": ciphertext,
        }},
    });
    json!({ "messages": { &session.user_id: { &session.device_id: content } } })
}

/// Account data of the size and form of one stored secret. The two devices of a user store
/// different values, so that every write changes something.
fn encrypted_secret(number: usize) -> Value {
    json!({ "encrypted": { "abcdefghijabcdefghijabcdefghijab": {
        "iv": "AAECAwQFBgcICQoLDA0ODw",
        "ciphertext": format!("{number:02}egnMYr7kRi6huMR6oPKR4X6FPRbcS6nftMOayix6+sv8+ipcYOGVOf3g"),
        "mac": "H3/OSg3wg9CW/LE5cDfqoeO8mEF8uY6P7NSUalSplbc",
    }}})
}

/// The part of the script that is the same for all; its last line is what wrk.rs reads.
const LUA: &str = r#"
local prepared, at = {}, 0
-- Another prefix in every series, so that no transaction comes twice.
local count, stamp = 0, os.time() .. "-"

function init(arguments)
  for i, request in ipairs(requests) do
    local headers = { ["Authorization"] = request[2], ["Content-Type"] = "application/json" }
    local before, after = request[1]:match("^(.*)TRANSACTION(.*)$")
    if before then
      prepared[i] = function()
        count = count + 1
        local path = before .. stamp .. count .. after
        return wrk.format(method, path, headers, request[3])
      end
    else
      local text = wrk.format(method, request[1], headers, request[3])
      prepared[i] = function() return text end
    end
  end
end

function request()
  at = at % #prepared + 1
  return prepared[at]()
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    "series requests=%d duration_us=%d p50_us=%d p99_us=%d failed=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_a_value_of_the_size_of_a_secret() {
        let bytes = encrypted_secret(7).to_string().len();
        assert!((200..=280).contains(&bytes), "{bytes}");
        assert_ne!(encrypted_secret(7), encrypted_secret(8));
    }

    #[test]
    fn sends_a_body_only_when_there_is_one() {
        let request = |body| Request {
            path: "/a".to_owned(),
            token: "t".to_owned(),
            body,
        };
        let read = lua("GET", &[request(None)]);
        assert!(read.contains(r#"{ "/a", "Bearer t", nil },"#));
        let written = lua("PUT", &[request(Some(encrypted_secret(0)))]);
        assert!(written.contains(r#"{ "/a", "Bearer t", [==[{"#));
    }
}
