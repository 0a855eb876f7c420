//! The users of a benchmark, and the requests that they make.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    failure::Failure,
    files,
    http::{Client, Session},
    workspace::Workspace,
};

/// Users on each server.
const USERS: usize = 32;

/// The secret that is stored and read.
const SECRET: &str = "org.example.bench.secret";

/// One kind of request.
#[derive(Debug)]
pub(super) struct Workload {
    /// What the table calls it.
    pub(super) name: &'static str,
    method: &'static str,
}

/// What is measured.
pub(super) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "PUT account_data",
        method: "PUT",
    },
    Workload {
        name: "GET account_data",
        method: "GET",
    },
];

/// Two devices of every user, each with the request that it repeats.
#[derive(Debug)]
pub(super) struct Load {
    requests: Vec<Request>,
}

#[derive(Debug)]
struct Request {
    path: String,
    token: String,
    value: Value,
}

impl Load {
    /// Registers the users, and makes every request once to see that it works.
    pub(super) fn prepare(base: &str) -> Result<Self, Failure> {
        let server = Client::new(base);
        let mut requests = Vec::new();
        for device in 0..2 {
            for user in 0..USERS {
                let name = format!("bench{user:02}");
                let session = if device == 0 {
                    server.register(&name)?
                } else {
                    server.log_in(&name)?
                };
                requests.push(Request::try_out(session, requests.len())?);
            }
        }
        Ok(Self { requests })
    }

    /// Writes the Lua script by which wrk makes the requests in turn.
    pub(super) fn script(
        &self,
        workspace: &Workspace,
        workload: &Workload,
        server: &str,
    ) -> Result<PathBuf, Failure> {
        let path = workspace
            .target
            .join(format!("bench/{server}-{}.lua", workload.method));
        files::write(&path, &self.lua(workload.method))?;
        Ok(path)
    }

    fn lua(&self, method: &str) -> String {
        let mut script = format!("local method = \"{method}\"\nlocal requests = {{\n");
        for Request { path, token, value } in &self.requests {
            let body = if method == "PUT" {
                format!("[==[{value}]==]")
            } else {
                "nil".to_owned()
            };
            script.push_str(&format!(
                "  {{ \"{path}\", \"Bearer {token}\", {body} }},\n"
            ));
        }
        script.push_str("}\n");
        script.push_str(LUA);
        script
    }
}

impl Request {
    fn try_out(session: Session, number: usize) -> Result<Self, Failure> {
        let path = session.account_data(SECRET);
        let value = encrypted_secret(number);
        session.client.must("PUT", &path, Some(&value))?;
        let read = session.client.must("GET", &path, None)?;
        if read != value {
            return Err(Failure::Check(format!(
                "{path}: stored {value}, read {read}"
            )));
        }
        Ok(Self {
            path,
            token: session.token,
            value,
        })
    }
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

function init(arguments)
  for i, request in ipairs(requests) do
    local headers = { ["Authorization"] = request[2], ["Content-Type"] = "application/json" }
    prepared[i] = wrk.format(method, request[1], headers, request[3])
  end
end

function request()
  at = at % #prepared + 1
  return prepared[at]
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
    fn sends_a_body_only_when_it_writes() {
        let request = Request {
            path: "/a".to_owned(),
            token: "t".to_owned(),
            value: encrypted_secret(0),
        };
        let load = Load {
            requests: vec![request],
        };
        assert!(load.lua("GET").contains(r#"{ "/a", "Bearer t", nil },"#));
        assert!(load.lua("PUT").contains(r#"{ "/a", "Bearer t", [==[{"#));
    }
}
