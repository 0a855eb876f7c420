//! Publishing an identity, with and without authentication.

use fourfold::cross_signing::CrossSigningKeys;
use fourfold::rand_core::UnwrapErr;
use serde_json::{Value, json};

use super::*;
use crate::ErrorKind;
use crate::testing::{Reply, Server, USER, all_texts, once};

const CANARY: &str = "canary password";

fn public_keys() -> PublicKeys {
    CrossSigningKeys::generate(&mut UnwrapErr(getrandom::SysRng))
        .public_keys(USER)
        .unwrap()
}

async fn upload(server: &Server, password: Option<&str>) -> Result<(), Error> {
    let (account, _) = server.account(&once());
    let password = password.map(Password::new);
    account
        .upload_cross_signing_keys(&public_keys(), password.as_ref())
        .await
}

/// What is wrong when the password is given, and the server answers like this.
async fn refusal(replies: impl IntoIterator<Item = Reply>) -> ErrorKind {
    let server = Server::scripted(replies).await;
    let error = upload(&server, Some(CANARY)).await.unwrap_err();
    assert!(!all_texts(&error).contains(CANARY));
    error.kind().clone()
}

fn challenge(flows: &Value) -> Reply {
    let body = json!({"session": "S", "flows": flows, "params": {}});
    Reply::json(401, body.to_string())
}

fn password_flow() -> Value {
    json!([{"stages": ["m.login.sso"]}, {"stages": ["m.login.password"]}])
}

fn body(server: &Server, index: usize) -> Value {
    serde_json::from_str(&server.received()[index].body).unwrap()
}

#[tokio::test]
async fn the_first_keys_need_no_password_and_none_is_sent() {
    let server = Server::scripted([Reply::json(200, "{}")]).await;
    upload(&server, Some(CANARY)).await.unwrap();
    let sent = body(&server, 0);
    assert_eq!(sent.as_object().unwrap().len(), 3);
    assert_eq!(sent["master_key"]["usage"], json!(["master"]));
    assert_eq!(sent["self_signing_key"]["user_id"], USER);
    assert!(sent["user_signing_key"]["signatures"][USER].is_object());
    assert!(!server.received()[0].body.contains(CANARY));
}

#[tokio::test]
async fn the_password_is_given_when_it_is_asked_for() {
    let flows = password_flow();
    let server = Server::scripted([challenge(&flows), Reply::json(200, "{}")]).await;
    upload(&server, Some(CANARY)).await.unwrap();
    assert!(body(&server, 0).get("auth").is_none());
    assert_eq!(
        body(&server, 1)["auth"],
        json!({
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": USER},
            "password": CANARY,
            "session": "S",
        })
    );
    assert!(body(&server, 1)["master_key"].is_object());
}

#[tokio::test]
async fn without_the_password_it_is_asked_for() {
    let server = Server::scripted([challenge(&password_flow())]).await;
    let error = upload(&server, None).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::NeedsPassword);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn several_stages_are_gone_through_one_after_the_other() {
    let flows = json!([{"stages": ["m.login.dummy", "m.login.password"]}]);
    let half = json!({"session": "S", "flows": flows, "completed": ["m.login.dummy"]});
    let server = Server::scripted([
        challenge(&flows),
        Reply::json(401, half.to_string()),
        Reply::json(200, "{}"),
    ])
    .await;
    upload(&server, Some(CANARY)).await.unwrap();
    assert_eq!(
        body(&server, 1)["auth"],
        json!({"type": "m.login.dummy", "session": "S"})
    );
    assert_eq!(body(&server, 2)["auth"]["type"], "m.login.password");
}

#[tokio::test]
async fn a_wrong_password_is_told_apart_from_other_refusals() {
    let wrong = json!({"session": "S", "flows": password_flow(), "errcode": "M_FORBIDDEN",
        "error": "Invalid password"});
    let first = || challenge(&password_flow());
    let wrong = Reply::json(401, wrong.to_string());
    assert_eq!(refusal([first(), wrong]).await, ErrorKind::WrongPassword);
    let forbidden = refusal([first(), Reply::error(403, "M_FORBIDDEN")]).await;
    assert!(matches!(forbidden, ErrorKind::Matrix { status: 403, .. }));
    let gone = refusal([Reply::error(401, "M_UNKNOWN_TOKEN")]).await;
    assert!(matches!(gone, ErrorKind::LoggedOut { .. }));
}

#[tokio::test]
async fn a_server_that_never_has_enough_is_left() {
    let again = || challenge(&password_flow());
    let kind = refusal([again(), again(), again(), again()]).await;
    assert!(matches!(kind, ErrorKind::NeedsOther { .. }), "{kind}");
    let dummy = || challenge(&json!([{"stages": []}]));
    let kind = refusal([dummy(), dummy(), dummy()]).await;
    assert!(matches!(kind, ErrorKind::NeedsOther { .. }), "{kind}");
}

#[tokio::test]
async fn what_needs_a_browser_is_named_with_its_address() {
    let flows = json!([{"stages": ["m.oauth"]}, {"stages": ["org.matrix.cross_signing_reset"]}]);
    let with = |url: &str| {
        let body = json!({"session": "S", "flows": flows, "params": {
            "m.oauth": {"url": url}, "m.login.sso": {"url": "https://evil.example"}}});
        Reply::json(401, body.to_string())
    };
    let kind = refusal([with("https://account.example.org/?action=reset\u{1b}[2J")]).await;
    let url = r"https://account.example.org/?action=reset\u{1b}[2J".to_owned();
    let stages = "m.oauth or org.matrix.cross_signing_reset".to_owned();
    assert!(kind.to_string().contains(&url), "{kind}");
    let url = Some(url);
    assert_eq!(kind, ErrorKind::NeedsOther { stages, url });
    for no_address in ["http://account.example.org", "file:///etc/passwd", ""] {
        let kind = refusal([with(no_address)]).await;
        assert!(matches!(kind, ErrorKind::NeedsOther { url: None, .. }));
    }
    let kind = refusal([challenge(&json!([{"stages": ["m.login.sso"]}]))]).await;
    assert!(kind.to_string().contains("m.login.sso"));
}

#[tokio::test]
async fn signatures_that_were_not_taken_are_named() {
    let failures = json!({"failures": {USER: {
        "A\u{202e}": {"errcode": "M_INVALID_SIGNATURE", "error": "bad"}, "B": {}}}});
    let server = Server::scripted([
        Reply::json(200, "{}"),
        Reply::json(200, r#"{"failures":{}}"#),
        Reply::json(200, failures.to_string()),
        Reply::json(200, r#"{"failures":7}"#),
    ])
    .await;
    let (account, _) = server.account(&once());
    let object = Content::from_json(r#"{"keys":{}}"#).unwrap();
    for _ in 0..2 {
        let refused = account.upload_signatures(&[("A", &object)]).await;
        assert_eq!(refused.unwrap(), []);
    }
    assert_eq!(body(&server, 0), json!({USER: {"A": {"keys": {}}}}));
    let refused = account.upload_signatures(&[("A", &object)]).await.unwrap();
    assert_eq!(
        refused[0].to_string(),
        r"the server rejected the signature of A\u{202e}: bad (M_INVALID_SIGNATURE)"
    );
    assert_eq!(refused[1].errcode, "no code");
    assert!(account.upload_signatures(&[("A", &object)]).await.is_err());
}
