//! A server to be measured: a data folder, 32 users with two devices each, no rate limits.
//!
//! `load_target FOLDER TOKENS`: writes a line for each device into the file TOKENS (user ID, access token
//! and sync token, between tabs), prints its address and serves until its standard input ends. PORT and
//! CACHE_BYTES in the environment replace 8008 and the default, and NO_HISTORY switches off the history of
//! account data. The scripts beside
//! `benches/wrk/run.sh` read the tokens.

#![expect(clippy::print_stdout, reason = "a program for people at a terminal")]
#![expect(
    clippy::unwrap_used,
    reason = "a measurement that cannot start should stop"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "answers have the members that the endpoint promises"
)]

use std::fmt::Write;

use fourfold_server::{Config, PasswordCost, RateLimits, Server};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap();
    let tokens = arguments.next().unwrap();
    let mut config = Config::new("localhost", folder);
    config
        .network
        .bind
        .set_port(std::env::var("PORT").map_or(8008, |port| port.parse().unwrap()));
    config.rate_limits = RateLimits::disabled();
    config.accounts.password_cost = PasswordCost::minimal();
    if let Ok(bytes) = std::env::var("CACHE_BYTES") {
        config.storage.cache_bytes = bytes.parse().unwrap();
    }
    if std::env::var_os("NO_HISTORY").is_some() {
        config.storage.quotas.history = None;
    }
    let server = Server::bind(config).await.unwrap();

    let mut lines = String::new();
    for user in 0..32 {
        let account = json!({
            "username": format!("user{user}"),
            "password": "password",
            "inhibit_login": true,
            "auth": { "type": "m.login.dummy" },
        });
        post(&server, "/register", &account).await;
        let mut tokens_of_user = Vec::new();
        for device in 0..2 {
            let login = json!({
                "type": "m.login.password",
                "identifier": { "type": "m.id.user", "user": format!("user{user}") },
                "password": "password",
                "device_id": format!("DEVICE{device}"),
            });
            let answer = post(&server, "/login", &login).await;
            let token = answer["access_token"].as_str().unwrap();
            tokens_of_user.push(token.to_owned());
        }
        // After the last login, so that a sync from here has nothing to say.
        for token in tokens_of_user {
            let sync = send(&server, "GET", "/sync", &token, "").await;
            let since = sync["next_batch"].as_str().unwrap();
            writeln!(lines, "@user{user}:localhost\t{token}\t{since}").unwrap();
        }
    }
    std::fs::write(tokens, lines).unwrap();
    println!("http://{}", server.local_addr());
    let input_ends =
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    server.run(async { drop(input_ends.await) }).await;
}

async fn post(server: &Server, path: &str, body: &Value) -> Value {
    send(server, "POST", path, "", &body.to_string()).await
}

async fn send(server: &Server, method: &str, path: &str, token: &str, body: &str) -> Value {
    let request = http::Request::builder()
        .method(method)
        .uri(format!("/_matrix/client/v3{path}"))
        .header("authorization", format!("Bearer {token}"));
    let request = request
        .body(axum::body::Body::from(body.to_owned()))
        .unwrap();
    let answer = server.homeserver().router().oneshot(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}
