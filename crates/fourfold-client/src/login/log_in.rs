//! Registering, logging in, and asking whom a token belongs to.

use serde::{Deserialize, Serialize};
use tracing::instrument;

use super::interactive::{Auth, Challenge, Flow, Identifier};
use super::name::{ClaimedDevice, ClaimedUser};
use crate::error::{Error, ErrorKind};
use crate::path::Path;
use crate::transport::{Answer, Request};
use crate::{AccessToken, Homeserver, LoginName, Password, Session, WhoAmI};

impl Homeserver {
    /// Registers an account and logs in to it, on a server that asks for nothing more than a name
    /// and a password.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::RegistrationNeeds`] when the server asks for more, [`ErrorKind::Matrix`] when it
    /// refuses, [`ErrorKind::OtherUser`], and the errors of every call. It is not repeated when nobody
    /// knows whether it arrived.
    #[instrument(level = "debug", skip_all)]
    pub async fn register(
        &self,
        user: &LoginName,
        password: &Password,
        device_name: Option<&str>,
    ) -> Result<Session, Error> {
        let mut body = RegisterBody {
            username: user.localpart(),
            password: password.expose_secret(),
            initial_device_display_name: device_name,
            auth: None,
        };
        let path = || Path::fixed("/_matrix/client/v3/register");
        let answer = self.transport.send(&Request::post(path(), &body)).await?;
        if answer.status() != 401 {
            return self.session_from(answer, "/register", user, None).await;
        }
        let Some(challenge) = Challenge::of(&answer) else {
            return Err(answer.into_error("/register"));
        };
        if !challenge.flows.iter().any(Flow::is_dummy) {
            let stages = challenge.to_text();
            let kind = ErrorKind::RegistrationNeeds { stages };
            return Err(Error::from(kind).at(self.base_url()));
        }
        body.auth = Some(Auth::dummy(challenge.session.as_deref()));
        let answer = self.transport.send(&Request::post(path(), &body)).await?;
        self.session_from(answer, "/register", user, None).await
    }

    /// Logs in with a password. A session of another user or another device than was asked for is
    /// not given out: it is ended, at this server and at no other.
    #[instrument(level = "debug", skip_all)]
    pub(crate) async fn session_by_password(
        &self,
        user: &LoginName,
        password: &Password,
        device_id: Option<&str>,
        device_name: Option<&str>,
    ) -> Result<Session, Error> {
        let body = LogInBody {
            kind: "m.login.password",
            identifier: Identifier::user(user.as_str()),
            password: password.expose_secret(),
            device_id,
            initial_device_display_name: device_name,
        };
        let path = Path::fixed("/_matrix/client/v3/login");
        let answer = self.transport.send(&Request::post(path, &body)).await?;
        self.session_from(answer, "/login", user, device_id).await
    }

    /// The session that a token belongs to, if it is one of this user.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LoggedOut`] when the token is not valid, [`ErrorKind::InvalidToken`],
    /// [`ErrorKind::OtherUser`], and the errors of every call.
    #[instrument(level = "debug", skip_all)]
    pub async fn session_of(&self, user: &LoginName, token: AccessToken) -> Result<Session, Error> {
        let body = self.who_is(&token).await?;
        let of_user = || {
            let user_id = body.user_id.asked_for(user, self, WHOAMI)?;
            let device_id = body.device_id.map(|device| device.asked_for(None, WHOAMI));
            Ok((user_id, device_id.transpose()?))
        };
        let (user_id, device_id) = of_user().map_err(|kind| self.error(kind))?;
        Ok(Session::new(self.base_url(), user_id, device_id, token))
    }

    /// The server's answer about the token of a session, if it is about that session.
    pub(crate) async fn who_is_in(&self, session: &Session) -> Result<WhoAmI, Error> {
        let body = self.who_is(session.access_token()).await?;
        let is_guest = body.is_guest;
        let of_session = || {
            let user_id = body.user_id.known_as(&session.user_id, WHOAMI)?;
            let known = session.device_id.as_deref();
            let device_id = body.device_id.map(|device| device.asked_for(known, WHOAMI));
            Ok(WhoAmI {
                user_id,
                device_id: device_id.transpose()?,
                is_guest,
            })
        };
        of_session().map_err(|kind| self.error(kind))
    }

    /// Ends the session of a token. One that the server has ended already is a success.
    pub(crate) async fn end_session(&self, token: &AccessToken) -> Result<(), Error> {
        let path = Path::fixed("/_matrix/client/v3/logout");
        let request = Request::post(path, &serde_json::Map::new()).repeatable();
        let answer = self.transport.send(&request.with_token(token)).await?;
        if answer.is_success() {
            return Ok(());
        }
        let error = answer.into_error("/logout");
        if error.is_logged_out() {
            Ok(())
        } else {
            Err(error)
        }
    }

    async fn who_is(&self, token: &AccessToken) -> Result<WhoAmIBody, Error> {
        let path = Path::fixed("/_matrix/client/v3/account/whoami");
        let request = Request::get(path).with_token(token);
        self.transport.send(&request).await?.json(WHOAMI)
    }

    /// The session in an answer, if it is of the user, and of the device, that was asked for.
    async fn session_from(
        &self,
        answer: Answer,
        to: &'static str,
        user: &LoginName,
        device_id: Option<&str>,
    ) -> Result<Session, Error> {
        let body: SessionBody = answer.json(to)?;
        let token = AccessToken::new(body.access_token);
        let asked_for = || {
            let user_id = body.user_id.asked_for(user, self, to)?;
            let device_id = body.device_id.map(|said| said.asked_for(device_id, to));
            Ok((user_id, device_id.transpose()?))
        };
        match asked_for() {
            Ok((user_id, device_id)) => {
                Ok(Session::new(self.base_url(), user_id, device_id, token))
            }
            Err(kind) => {
                // Nobody will use it. That the server does not end it changes nothing here.
                let _ = self.end_session(&token).await;
                Err(self.error(kind))
            }
        }
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::from(kind).at(self.base_url())
    }
}

const WHOAMI: &str = "/whoami";

// Types of our own instead of those of ruma: these keep passwords and tokens out of memory that is
// not wiped and out of `Debug`, and they accept what servers leave out.

#[derive(Serialize)]
struct RegisterBody<'a> {
    username: &'a str,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_device_display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<Auth<'a>>,
}

#[derive(Serialize)]
struct LogInBody<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    identifier: Identifier<'a>,
    password: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_device_display_name: Option<&'a str>,
}

#[derive(Deserialize)]
struct SessionBody {
    user_id: ClaimedUser,
    access_token: String,
    #[serde(default)]
    device_id: Option<ClaimedDevice>,
}

#[derive(Deserialize)]
struct WhoAmIBody {
    user_id: ClaimedUser,
    #[serde(default)]
    device_id: Option<ClaimedDevice>,
    #[serde(default)]
    is_guest: bool,
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use super::*;
    use crate::testing::{Reply, Server, TOKEN, USER, all_texts, once};

    fn session() -> Reply {
        let body = format!(
            r#"{{"user_id":"{USER}","access_token":"{TOKEN}","device_id":"D","home_server":"h",
                "well_known":{{"m.homeserver":{{"base_url":"https://evil.example"}}}}}}"#
        );
        Reply::json(200, body)
    }

    fn body(server: &Server, index: usize) -> serde_json::Value {
        serde_json::from_str(&server.received()[index].body).unwrap()
    }

    fn name(name: &str) -> LoginName {
        LoginName::new(name).unwrap()
    }

    async fn register(server: &Server) -> Result<Session, Error> {
        let (homeserver, _) = server.homeserver(&once());
        homeserver
            .register(&name(USER), &Password::new("canary"), Some("laptop"))
            .await
    }

    async fn log_in(server: &Server, user: &str) -> Result<Session, Error> {
        let (homeserver, _) = server.homeserver(&once());
        homeserver
            .log_in(user, &Password::new("canary"))
            .device_id("D")
            .session()
            .await
    }

    #[tokio::test]
    async fn registers_through_the_dummy_stage() {
        let challenge = r#"{"session":"S","flows":[{"stages":["m.login.recaptcha"]},
            {"stages":["m.login.dummy"]}],"params":{}}"#;
        let server = Server::scripted([Reply::json(401, challenge), session()]).await;
        let session = register(&server).await.unwrap();
        assert_eq!(
            (session.user_id.as_str(), session.device_id.as_deref()),
            (USER, Some("D"))
        );
        assert_eq!(session.access_token().expose_secret(), TOKEN);
        // The server's statement about its own address is ignored.
        assert_eq!(session.homeserver, server.base_url);
        let mut expected = serde_json::json!({
            "username": "alice",
            "password": "canary",
            "initial_device_display_name": "laptop",
        });
        assert_eq!(body(&server, 0), expected);
        expected["auth"] = serde_json::json!({"type": "m.login.dummy", "session": "S"});
        assert_eq!(body(&server, 1), expected);
    }

    #[tokio::test]
    async fn registers_where_parts_of_the_challenge_are_left_out() {
        for challenge in [
            r#"{"flows":[{}]}"#,
            r#"{"flows":[{"stages":[]}],"session":null}"#,
        ] {
            let server = Server::scripted([Reply::json(401, challenge), session()]).await;
            register(&server).await.unwrap();
            assert_eq!(
                body(&server, 1)["auth"],
                serde_json::json!({"type": "m.login.dummy"})
            );
        }
        let server = Server::scripted([session()]).await;
        register(&server).await.unwrap();
    }

    #[tokio::test]
    async fn says_what_else_registration_needs() {
        let challenge = r#"{"flows":[{"stages":["m.login.recaptcha","m.login.\u001bterms"]},
            {"stages":["m.login.registration_token"]}]}"#;
        let server = Server::scripted([Reply::json(401, challenge)]).await;
        let error = register(&server).await.unwrap_err();
        let stages =
            r"m.login.recaptcha and m.login.\u{1b}terms or m.login.registration_token".to_owned();
        assert_eq!(error.kind(), &ErrorKind::RegistrationNeeds { stages });
    }

    #[tokio::test]
    async fn refusals_are_told_without_the_password() {
        let server = Server::start(|_| Reply::error(403, "M_FORBIDDEN")).await;
        for error in [register(&server).await, log_in(&server, USER).await] {
            let error = error.unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::Matrix { status: 403, .. }),
                "{error}"
            );
            assert!(!all_texts(&error).contains("canary"));
        }
    }

    #[tokio::test]
    async fn logs_in_with_a_password() {
        let server = Server::scripted([session()]).await;
        let session = log_in(&server, USER).await.unwrap();
        assert_eq!(session.user_id, USER);
        assert_eq!(server.received()[0].target, "/_matrix/client/v3/login");
        let expected = serde_json::json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": USER},
            "password": "canary",
            "device_id": "D",
        });
        assert_eq!(body(&server, 0), expected);
    }

    #[tokio::test]
    async fn a_session_of_somebody_else_is_refused() {
        let server = Server::start(|_| session()).await;
        log_in(&server, USER).await.unwrap();
        log_in(&server, "@Alice:example.org").await.unwrap();
        // The server is called 127.0.0.1, and somebody else may be example.org.
        for user in ["@bob:example.org", "@alice:example.com", "bob", "alice"] {
            let before = server.received().len();
            let error = log_in(&server, user).await.unwrap_err();
            let other = ErrorKind::OtherUser {
                user_id: USER.to_owned(),
            };
            assert_eq!(error.kind(), &other, "{user}");
            assert!(!all_texts(&error).contains(TOKEN));
            is_ended(&server, before + 1);
        }
        let (homeserver, _) = server.homeserver(&once());
        let password = Password::new("canary");
        let other = homeserver.register(&name("bob"), &password, None).await;
        assert!(matches!(
            other.unwrap_err().kind(),
            ErrorKind::OtherUser { .. }
        ));
        is_ended(&server, server.received().len() - 1);
    }

    #[tokio::test]
    async fn a_name_alone_is_a_user_of_the_server_that_was_asked() {
        let host = Arc::new(OnceLock::<String>::new());
        let said = Arc::clone(&host);
        let server = Server::start(move |_| {
            let host = said.get().unwrap();
            let body = format!(r#"{{"user_id":"@alice:{host}","access_token":"t"}}"#);
            Reply::json(200, body)
        })
        .await;
        host.set(server.server_name().to_owned()).unwrap();
        let session = log_in(&server, "Alice").await.unwrap();
        assert_eq!(session.user_id, format!("@alice:{}", server.server_name()));
        assert!(log_in(&server, "bob").await.is_err());
    }

    #[tokio::test]
    async fn a_session_of_another_device_is_refused() {
        for (device_id, refused) in [
            ("E", true),
            (r"\u001b]0;owned\u0007", true),
            (r"\u009b2J", true),
            ("", true),
            ("D", false),
        ] {
            let body = format!(
                r#"{{"user_id":"{USER}","access_token":"{TOKEN}","device_id":"{device_id}"}}"#
            );
            let server = Server::start(move |_| Reply::json(200, body.as_str())).await;
            let session = log_in(&server, USER).await;
            assert_eq!(session.is_err(), refused, "{device_id}");
            if refused {
                is_ended(&server, 1);
            }
        }
    }

    /// The last request of so many ended the session that was made.
    #[track_caller]
    fn is_ended(server: &Server, before: usize) {
        let received = server.received();
        assert_eq!(received.len(), before + 1);
        let last = &received[before];
        assert_eq!(last.target, "/_matrix/client/v3/logout");
        assert_eq!(last.headers["authorization"], format!("Bearer {TOKEN}"));
    }

    #[tokio::test]
    async fn answers_without_a_session_are_refused() {
        for body in [
            "{}",
            "[]",
            r#"{"user_id":"@a:b"}"#,
            r#"{"user_id":"a","access_token":"t"}"#,
            r#"{"user_id":"@a:\u0000b","access_token":"t"}"#,
            r#"{"user_id":"@a:b","access_token":7}"#,
        ] {
            let server = Server::scripted([Reply::json(200, body)]).await;
            let error = log_in(&server, "@a:b").await.unwrap_err();
            assert_eq!(
                error.kind(),
                &ErrorKind::Malformed { to: "/login" },
                "{body}"
            );
        }
    }

    #[tokio::test]
    async fn asks_whom_a_token_belongs_to() {
        let server = Server::scripted([
            Reply::json(200, format!(r#"{{"user_id":"{USER}","is_guest":false}}"#)),
            Reply::error(401, "M_UNKNOWN_TOKEN"),
            Reply::json(200, r#"{"user_id":"@bob:example.org"}"#),
        ])
        .await;
        let (homeserver, _) = server.homeserver(&once());
        let session_of = async || {
            homeserver
                .session_of(&name(USER), AccessToken::new(TOKEN))
                .await
        };
        let session = session_of().await.unwrap();
        assert_eq!((session.user_id.as_str(), session.device_id), (USER, None));
        assert!(session_of().await.unwrap_err().is_logged_out());
        let error = session_of().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::OtherUser { .. }));
        // It was not made here, so it is not ended here.
        assert_eq!(server.received().len(), 3);
    }

    #[tokio::test]
    async fn a_server_that_says_a_session_is_somebody_elses_is_not_believed() {
        for body in [
            r#"{"user_id":"@bob:example.org","device_id":"DEVICE"}"#,
            r#"{"user_id":"@Alice:example.org","device_id":"DEVICE"}"#,
            r#"{"user_id":"@alice:example.org","device_id":"OTHER"}"#,
            r#"{"user_id":"@alice:example.org","device_id":"\u001b[2J"}"#,
        ] {
            let server = Server::scripted([Reply::json(200, body)]).await;
            let (account, _) = server.account(&once());
            let error = account.whoami().await.unwrap_err();
            assert!(!all_texts(&error).contains('\u{1b}'), "{error}");
        }
    }
}
