//! The protocol between commands and the agent. Secrets are never in these messages: they travel
//! as the payload of the frame.

use fourfold::history::Origin;
use fourfold::sharing::Assurance;
use fourfold::{KeyId, SecretName};
use serde::{Deserialize, Serialize};

use crate::agent::requests::Delivery;
use crate::error::{Error, Exit, Result};
use crate::options::AcceptOptions;
use crate::storage::judged::Compared;
use crate::storage::opening::Provenance;

/// The version of the protocol. The two sides are the same program, but not always of one day: one
/// member more or less is a new version, so that what cannot be understood is told at the start.
pub(crate) const VERSION: u32 = 4;

/// The greeting of the agent to every client.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Hello {
    pub(crate) version: u32,
    pub(crate) user_id: String,
    pub(crate) process: u32,
}

impl Hello {
    /// No command can speak with an agent of another version, `agent stop` neither.
    pub(crate) fn check_version(&self) -> Result<()> {
        if self.version == VERSION {
            return Ok(());
        }
        let process = self.process;
        Err(Error::new(
            Exit::Conflict,
            "the running agent is another version of fourfold",
        )
        .hint(format!(
            "end it (kill {process}) and start it again: fourfold agent"
        )))
    }
}

/// A request of a command.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "request")]
pub(crate) enum Request {
    /// The agent's status: [`Reply::Status`].
    Status,
    /// Keep a key. Payload: its 32 bytes.
    Unlock {
        key_id: KeyId,
        algorithm: String,
        /// Seconds after which it is forgotten, however often it is used.
        lifetime: Option<u64>,
    },
    /// Forget the key.
    Lock,
    /// Open a secret: [`Reply::Secret`].
    Get {
        name: SecretName,
        #[serde(flatten)]
        accept: AcceptOptions,
    },
    /// Make the plan that stores a secret under the key: [`Reply::Document`]. Payload: the secret.
    Seal {
        name: SecretName,
        #[serde(flatten)]
        accept: AcceptOptions,
    },
    /// The state at the homeserver: [`Reply::Document`].
    Snapshot {
        #[serde(flatten)]
        accept: AcceptOptions,
    },
    /// Ask the other devices for a secret: [`Reply::Received`]. Hanging up takes the question back.
    Ask {
        name: SecretName,
        from: Option<String>,
        /// Seconds.
        timeout: u64,
    },
    /// Remember that a key opened a secret: [`Reply::Known`]. Payload: the account data of the
    /// secret.
    Opened { name: SecretName, key_id: KeyId },
    /// Leave the local state to this command until it hangs up.
    Borrow,
    /// The questions that wait for an answer: [`Reply::Questions`].
    Questions,
    /// Answer a request.
    Answer { question: u64, allow: bool },
    /// End.
    Stop,
}

/// A reply of the agent.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "reply")]
pub(crate) enum Reply {
    Done,
    Status(Status),
    /// Payload: the secret.
    Secret(Opened),
    /// Payload: the first part of a document. `rest` bytes follow in as many [`Reply::Document`]s
    /// as it takes.
    Document {
        rest: u64,
        #[serde(default)]
        compared: Compared,
    },
    /// Payload: the secret.
    Received(Received),
    Questions {
        questions: Vec<Question>,
    },
    /// The way in which this machine learned of an entry before.
    Known {
        origin: Option<Origin>,
    },
    Failed(Failure),
}

/// The agent's status.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    pub(crate) user_id: String,
    pub(crate) device_id: Option<String>,
    pub(crate) process: u32,
    /// The key that is kept; none when it is locked.
    pub(crate) key_id: Option<KeyId>,
    /// Seconds until it is forgotten, when nobody uses it.
    pub(crate) locks_in: Option<u64>,
    /// Whether it hears what the homeserver has for it.
    pub(crate) in_sync: bool,
    /// The number of requests of other devices that wait for an answer of the user.
    pub(crate) questions: usize,
}

/// An opened secret, and where it came from.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Opened {
    pub(crate) provenance: Provenance,
    /// The changes of the account.
    pub(crate) compared: Compared,
}

/// A secret received from another device, and the assurance about it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Received {
    /// The device that sent it.
    pub(crate) device_id: String,
    /// `pinned`, `signed_backup`, `server_backup` or `untyped`: see [`Assurance`].
    pub(crate) standing: String,
    /// The public key that it belongs to, when that is known here.
    pub(crate) public_key: Option<String>,
    /// Whether secret storage holds another value under this name.
    pub(crate) differs_from_stored: bool,
}

impl Received {
    pub(crate) fn of(delivery: &Delivery) -> Self {
        let (standing, public_key) = match &delivery.standing {
            Assurance::Pinned { public_key } => ("pinned", Some(public_key.clone())),
            Assurance::SignedBackup { .. } => ("signed_backup", None),
            Assurance::ServerBackup { .. } => ("server_backup", None),
            _ => ("untyped", None),
        };
        Self {
            device_id: delivery.from.device_id.clone(),
            standing: standing.to_owned(),
            public_key,
            differs_from_stored: delivery.is_conflict,
        }
    }
}

/// A device asks for secrets, and the policy says that its user decides. Text of others is escaped
/// where it is shown, not here.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Question {
    pub(crate) id: u64,
    /// The names of the secrets that it asks for. All or nothing.
    pub(crate) secrets: Vec<String>,
    pub(crate) device_id: String,
    /// Chosen by whoever made the device.
    pub(crate) device_name: Option<String>,
    /// The Ed25519 key of the device, in base64, in groups of four.
    pub(crate) fingerprint: String,
    /// When this machine first saw the device, in seconds since 1970; unknown for old state.
    pub(crate) first_seen: Option<u64>,
    /// Why the device counts as verified.
    pub(crate) verified_by: String,
    /// Seconds until the answer is No.
    pub(crate) expires_in: u64,
}

/// An [`Error`] on its way to the command.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Failure {
    exit: u8,
    /// Whether the agent has no key that fits: the command may ask for one and go on by itself.
    pub(crate) needs_key: bool,
    message: String,
    hint: Option<String>,
}

impl Failure {
    /// There is no key to open anything with.
    pub(crate) fn locked() -> Self {
        Self::needs_key(Error::refused("the agent is locked").hint("fourfold unlock"))
    }

    /// With another key it would work.
    pub(crate) fn needs_key(error: Error) -> Self {
        Self {
            needs_key: true,
            ..Self::from(error)
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            exit: error.exit as u8,
            needs_key: false,
            message: error.message,
            hint: error.hint,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self {
            exit: Exit::from_code(failure.exit),
            message: failure.message,
            hint: failure.hint,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_error_survives_the_way() {
        for code in 1..=8 {
            let error = Error::new(Exit::from_code(code), "message").hint("hint");
            let json = serde_json::to_string(&Failure::from(error)).unwrap();
            let back = Error::from(serde_json::from_str::<Failure>(&json).unwrap());
            assert_eq!(back.exit as u8, code);
            assert_eq!(back.message, "message");
            assert_eq!(back.hint.as_deref(), Some("hint"));
        }
        assert_eq!(Exit::from_code(0), Exit::Network);
        assert!(Failure::locked().needs_key);
    }

    // Another program than this one may be at the other end. Whoever has to change what stands here
    // raises the version.
    #[test]
    fn the_messages_of_this_version_have_these_members() {
        assert_eq!(VERSION, 4);
        let provenance = json!({
            "name": "org.example.token", "key_id": "a", "key_label": "a", "is_default_key": true,
            "is_authenticated": true, "matches_published_key": false, "vouched_by": "nothing",
            "is_iv_authenticated": false, "may_be_anybodys": true, "public_key": null, "published_instead": null,
            "quirks": []
        });
        let compared = json!({
            "changes": [], "is_cut_short": false, "is_accepted": false, "successions": [],
            "lost_descriptions": {}
        });
        let question = json!({
            "id": 1, "secrets": [], "device_id": "B", "device_name": null, "fingerprint": "",
            "first_seen": null, "verified_by": "", "expires_in": 1
        });
        let replies = [
            json!({"reply": "done"}),
            json!({
                "reply": "status", "user_id": "@alice:example.org", "device_id": "A", "process": 1,
                "key_id": "a", "locks_in": 1, "in_sync": true, "questions": 0
            }),
            json!({"reply": "secret", "provenance": provenance, "compared": compared}),
            json!({"reply": "document", "rest": 0, "compared": compared}),
            json!({
                "reply": "received", "device_id": "B", "standing": "untyped", "public_key": null,
                "differs_from_stored": false
            }),
            json!({"reply": "questions", "questions": [question]}),
            json!({"reply": "known", "origin": "opened"}),
            json!({"reply": "failed", "exit": 5, "needs_key": true, "message": "", "hint": null}),
        ];
        for reply in replies {
            check_members::<Reply>(&reply);
        }
        let requests = [
            json!({"request": "status"}),
            json!({"request": "unlock", "key_id": "a", "algorithm": "", "lifetime": null}),
            json!({"request": "lock"}),
            json!({"request": "get", "name": "a", "accept_changes": true}),
            json!({"request": "seal", "name": "a", "accept_changes": true}),
            json!({"request": "snapshot", "accept_changes": true}),
            json!({"request": "ask", "name": "a", "from": null, "timeout": 1}),
            json!({"request": "opened", "name": "a", "key_id": "a"}),
            json!({"request": "borrow"}),
            json!({"request": "questions"}),
            json!({"request": "answer", "question": 1, "allow": true}),
            json!({"request": "stop"}),
        ];
        for request in requests {
            check_members::<Request>(&request);
        }
        check_members::<Hello>(&json!({"version": 4, "user_id": "", "process": 1}));
    }

    /// The message has all of its members here, and no others.
    fn check_members<Message: DeserializeOwned + Serialize>(json: &Value) {
        let message: Message = serde_json::from_value(json.clone()).unwrap();
        assert_eq!(serde_json::to_value(&message).unwrap(), *json);
    }

    #[test]
    fn how_to_end_an_agent_of_another_version_is_said() {
        let hello = |version| Hello {
            version,
            user_id: String::new(),
            process: 4321,
        };
        assert!(hello(VERSION).check_version().is_ok());
        for version in [VERSION - 1, VERSION + 1] {
            let error = hello(version).check_version().unwrap_err();
            assert_eq!(error.exit, Exit::Conflict);
            assert!(error.hint.unwrap().contains("kill 4321"));
        }
    }

    #[test]
    fn an_unknown_request_is_not_understood() {
        for json in [
            "{}",
            r#"{"request": "hand_over_the_key"}"#,
            r#"{"request": "get"}"#,
            r#"{"request": "get", "name": ""}"#,
            r#"{"request": "answer", "question": -1, "allow": true}"#,
        ] {
            assert!(serde_json::from_str::<Request>(json).is_err(), "{json}");
        }
    }
}
