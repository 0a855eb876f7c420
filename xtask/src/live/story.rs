//! What must work on every homeserver that a user may have.

use serde_json::{Value, json};

use crate::{failure::Failure, http::Client, report};

/// A key ID as mautrix makes them: base64, so that the event type has `/` and `+` in it.
const KEY_ESCAPED: &str = "m.secret_storage.key.Me3n4Td%2Foh%2Bh7Zq";

/// Tells the story to the server at `base`.
pub(super) fn run(base: &str) -> Result<(), Failure> {
    let server = Client::new(base);
    server.must("GET", "/_matrix/client/versions", None)?;
    let laptop = server.register("alice")?;
    let phone = server.log_in("alice")?;
    expect(
        "a login keeps the user",
        &json!(laptop.user_id),
        &json!(phone.user_id),
    )?;

    let key = laptop.account_data(KEY_ESCAPED);
    let description = json!({
        "algorithm": "m.secret_storage.v1.aes-hmac-sha2",
        "iv": "AAECAwQFBgcICQoLDA0ODw",
        "mac": "ONrOSgDDUXMzIvXsfYBi1m8m075MdjPldfXCxIpU7IY",
        "org.example.unknown": { "large": 9_007_199_254_740_991_u64 },
    });
    expect_missing(
        "an event that was never stored",
        &phone.client.send("GET", &key, None)?,
    )?;
    laptop.client.must("PUT", &key, Some(&description))?;
    expect(
        "the other device reads the key description under its escaped type",
        &phone.client.must("GET", &key, None)?,
        &description,
    )?;
    let shorter = laptop.account_data("m.secret_storage.key.Me3n4Td");
    expect_missing(
        "`%2F` does not end the type",
        &phone.client.send("GET", &shorter, None)?,
    )?;

    laptop.client.must("PUT", &key, Some(&json!({})))?;
    expect(
        "a removed event is an empty object, not a missing one",
        &phone.client.must("GET", &key, None)?,
        &json!({}),
    )?;

    phone
        .client
        .must("POST", "/_matrix/client/v3/logout", Some(&json!({})))?;
    let refused = phone.client.send("GET", &key, None)?;
    expect(
        "a logged out device is refused",
        &json!(refused.status),
        &json!(401),
    )
}

fn expect(step: &str, got: &Value, wanted: &Value) -> Result<(), Failure> {
    if got == wanted {
        report::note(format_args!("ok: {step}"));
        Ok(())
    } else {
        Err(Failure::Check(format!(
            "{step}: got {got}, expected {wanted}"
        )))
    }
}

fn expect_missing(step: &str, answer: &crate::http::Answer) -> Result<(), Failure> {
    let errcode = answer.body.get("errcode").unwrap_or(&Value::Null);
    expect(
        step,
        &json!([answer.status, errcode]),
        &json!([404, "M_NOT_FOUND"]),
    )
}
