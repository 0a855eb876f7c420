//! User-interactive authentication: proving to the server that the user is there.
//!
//! [The protocol](https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api):
//! a request is answered with 401 and with flows of stages. Only the stages that a program can go
//! through are gone through here: the password, and none at all.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind};
use crate::transport::{Answer, Request, Transport};
use crate::{Password, escape_untrusted};

/// Sends a request until the server is content, and gives its last answer.
///
/// `request` adds what it is given to the request as `auth`. Without a password, and when the server
/// asks for it, this is [`ErrorKind::NeedsPassword`].
pub(crate) async fn authenticate<'r>(
    transport: &Transport,
    user_id: &str,
    password: Option<&Password>,
    request: impl Fn(Option<&Auth<'_>>) -> Request<'r> + Send + Sync,
) -> Result<Answer, Error> {
    let mut answer = transport.send(&request(None)).await?;
    let mut done: Vec<String> = Vec::new();
    loop {
        let Some(challenge) = Challenge::of(&answer) else {
            return Ok(answer);
        };
        if let Some(failed) = done.last()
            && !challenge.completed.contains(failed)
        {
            return Err(challenge.refusal(failed, answer));
        }
        let Some(flow) = challenge.flows.iter().find(|flow| flow.is_passable()) else {
            return Err(challenge.needs_other().at(answer.server()));
        };
        // A flow without stages is gone through with the stage that asks for nothing.
        let next = flow
            .stages
            .iter()
            .find(|stage| !challenge.completed.contains(stage) && !done.contains(stage));
        let next = match next {
            Some(stage) => stage.as_str(),
            None if done.is_empty() => DUMMY,
            None => return Ok(answer),
        };
        let auth = match (next, password) {
            (DUMMY, _) => Auth::dummy(challenge.session.as_deref()),
            (_, Some(password)) => Auth::password(user_id, password, challenge.session.as_deref()),
            (_, None) => return Err(Error::from(ErrorKind::NeedsPassword).at(answer.server())),
        };
        done.push(next.to_owned());
        answer = transport.send(&request(Some(&auth))).await?;
    }
}

/// The member `auth` of a request.
#[derive(Serialize)]
pub(crate) struct Auth<'a> {
    #[serde(rename = "type")]
    stage: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identifier: Option<Identifier<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
}

impl<'a> Auth<'a> {
    pub(crate) fn dummy(session: Option<&'a str>) -> Self {
        Self {
            stage: DUMMY,
            identifier: None,
            password: None,
            session,
        }
    }

    fn password(user_id: &'a str, password: &'a Password, session: Option<&'a str>) -> Self {
        Self {
            stage: PASSWORD,
            identifier: Some(Identifier::user(user_id)),
            password: Some(password.expose_secret()),
            session,
        }
    }
}

/// A body with `auth` beside its own members.
#[derive(Serialize)]
pub(crate) struct WithAuth<'a, B: Serialize> {
    #[serde(flatten)]
    pub(crate) body: &'a B,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth: Option<&'a Auth<'a>>,
}

/// A user, in the way that logging in names one.
#[derive(Serialize)]
pub(crate) struct Identifier<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    user: &'a str,
}

impl<'a> Identifier<'a> {
    pub(crate) fn user(user: &'a str) -> Self {
        Self {
            kind: "m.id.user",
            user,
        }
    }
}

/// The authentication that the server asks for.
#[derive(Deserialize)]
pub(crate) struct Challenge {
    pub(crate) flows: Vec<Flow>,
    #[serde(default)]
    pub(crate) session: Option<String>,
    #[serde(default)]
    completed: Vec<String>,
    #[serde(default)]
    params: Option<BTreeMap<String, Box<RawValue>>>,
}

/// One way to satisfy it.
#[derive(Deserialize)]
pub(crate) struct Flow {
    #[serde(default)]
    stages: Vec<String>,
}

impl Challenge {
    /// The challenge that an answer is, if it is one.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        if answer.status() == 401 {
            answer.read()
        } else {
            None
        }
    }

    /// The flows in words, as the server wrote them, escaped.
    pub(crate) fn to_text(&self) -> String {
        let flows: Vec<_> = self
            .flows
            .iter()
            .map(|flow| flow.stages.join(" and "))
            .collect();
        escape_untrusted(&flows.join(" or "))
    }

    fn refusal(&self, stage: &str, answer: Answer) -> Error {
        if stage == PASSWORD && answer.is_matrix_error("M_FORBIDDEN") {
            return Error::from(ErrorKind::WrongPassword).at(answer.server());
        }
        if answer.has_matrix_error() {
            return answer.into_error("a request with authentication");
        }
        self.needs_other().at(answer.server())
    }

    fn needs_other(&self) -> Error {
        ErrorKind::NeedsOther {
            stages: self.to_text(),
            url: self.url(),
        }
        .into()
    }

    /// Where the user can do it in a browser, escaped.
    fn url(&self) -> Option<String> {
        #[derive(Deserialize)]
        struct Parameters {
            url: String,
        }
        let parameters = self.params.as_ref()?;
        let stages = self.flows.iter().flat_map(|flow| &flow.stages);
        let mut named = stages.filter(|stage| BROWSER.contains(&stage.as_str()));
        let url = named.find_map(|stage| {
            let parameters = parameters.get(stage)?;
            serde_json::from_str::<Parameters>(parameters.get()).ok()
        })?;
        // Nothing else is an address that a person should open.
        url.url
            .starts_with("https://")
            .then(|| escape_untrusted(&url.url))
    }
}

impl Flow {
    /// Returns `true` if nothing is asked for.
    pub(crate) fn is_dummy(&self) -> bool {
        self.stages.iter().all(|stage| stage == DUMMY)
    }

    fn is_passable(&self) -> bool {
        self.stages
            .iter()
            .all(|stage| stage == DUMMY || stage == PASSWORD)
    }
}

const DUMMY: &str = "m.login.dummy";
const PASSWORD: &str = "m.login.password";
/// The stage that is completed in the account management of the server (MSC4312), with its address
/// in `params`.
const BROWSER: [&str; 2] = ["m.oauth", "org.matrix.cross_signing_reset"];
