//! A server that does what it should not, and what becomes of it.

use super::*;
use crate::path::Path;
use crate::testing::{Reply, Server, TOKEN, all_texts, once};
use crate::{AccessToken, Homeserver, Password};

fn path() -> Path {
    Path::fixed("/path")
}

/// Sends `GET /path` with the token and returns the error, after looking for the token in it.
async fn failure(server: &Server, options: &Options) -> Error {
    let (homeserver, _) = server.homeserver(options);
    let token = AccessToken::new(TOKEN);
    let request = Request::get(path()).with_token(&token);
    let answer = homeserver.transport.send(&request).await;
    let error = answer.and_then(|answer| answer.text("/path")).unwrap_err();
    let texts = all_texts(&error);
    for canary in [TOKEN, "CANARY", "\u{1b}", "Bearer"] {
        assert!(!texts.contains(canary), "{texts}");
    }
    assert!(error.to_string().starts_with(&server.base_url), "{error}");
    error
}

#[tokio::test]
async fn tries_again_until_there_is_an_answer() {
    let server = Server::scripted([
        Reply::html(502),
        Reply::Drop,
        Reply::error(500, "M_UNKNOWN"),
        Reply::json(200, r#"{"a": 1}"#),
    ])
    .await;
    let (homeserver, pauses) = server.homeserver(&Options::default());
    let answer = homeserver
        .transport
        .send(&Request::get(path()))
        .await
        .unwrap();
    assert_eq!(answer.text("/path").unwrap(), r#"{"a": 1}"#);
    assert_eq!(server.received().len(), 4);
    let pauses = pauses.all();
    assert_eq!(pauses.len(), 3);
    assert!(
        pauses.iter().max().unwrap() <= &Duration::from_secs(2),
        "{pauses:?}"
    );
}

#[tokio::test]
async fn gives_up_after_so_many_attempts() {
    let server = Server::start(|_| Reply::html(503)).await;
    let error = failure(&server, &Options::default()).await;
    assert_eq!(error.kind(), &ErrorKind::Server { status: 503 });
    assert_eq!(server.received().len(), 5);
}

#[tokio::test]
async fn a_put_is_the_same_every_time() {
    let server = Server::scripted([Reply::Drop, Reply::json(200, "{}")]).await;
    let (homeserver, _) = server.homeserver(&Options::default());
    let request = Request::put(path(), r#"{"a":1}"#.to_owned());
    assert!(
        homeserver
            .transport
            .send(&request)
            .await
            .unwrap()
            .is_success()
    );
    let bodies: Vec<_> = server
        .received()
        .into_iter()
        .map(|request| request.body)
        .collect();
    assert_eq!(bodies, [r#"{"a":1}"#, r#"{"a":1}"#]);
}

#[tokio::test]
async fn a_post_that_may_have_arrived_is_not_sent_again() {
    for reply in [
        Reply::Drop,
        Reply::html(502),
        Reply::Raw(b"HTTP/1.1 200".to_vec()),
    ] {
        let server = Server::scripted([reply, Reply::json(200, "{}")]).await;
        let (homeserver, _) = server.homeserver(&Options::default());
        let request = Request::post(path(), &());
        assert!(homeserver.transport.send(&request).await.is_err());
        assert_eq!(server.received().len(), 1);
    }
    // A refusal is not ambiguous.
    let server = Server::scripted([Reply::json(429, ""), Reply::json(200, "{}")]).await;
    let (homeserver, _) = server.homeserver(&Options::default());
    homeserver
        .transport
        .send(&Request::post(path(), &()))
        .await
        .unwrap();
    assert_eq!(server.received().len(), 2);
}

#[tokio::test]
async fn waits_as_long_as_the_server_asks() {
    let limited =
        |header: &str| Reply::Http(429, vec![("retry-after", header.to_owned())], String::new());
    let in_the_body = r#"{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":9000}"#;
    let server = Server::scripted([
        limited("7"),
        limited("0"),
        limited("-5"),
        Reply::json(429, in_the_body),
        Reply::json(200, "{}"),
    ])
    .await;
    let (homeserver, pauses) = server.homeserver(&Options::default());
    homeserver
        .transport
        .send(&Request::get(path()))
        .await
        .unwrap();
    let seconds: Vec<_> = pauses.all().iter().map(Duration::as_secs).collect();
    assert_eq!(seconds, [7, 1, 1, 9]);
}

#[tokio::test]
async fn does_not_wait_longer_than_patience_lasts() {
    for header in ["1000000000000", "3600", "Fri, 31 Dec 2100 00:00:00 GMT"] {
        let headers = vec![("retry-after", header.to_owned())];
        let server = Server::scripted([Reply::Http(429, headers, String::new())]).await;
        let error = failure(&server, &Options::default()).await;
        let retry_after = Duration::from_secs(3600);
        assert_eq!(error.kind(), &ErrorKind::RateLimited { retry_after });
        assert!(
            error.to_string().contains("again in 3600 seconds"),
            "{error}"
        );
        assert_eq!(server.received().len(), 1);
    }
}

// shows: LIB-23, MS-19
#[tokio::test]
async fn redirects_are_not_followed() {
    let elsewhere = Server::start(|_| Reply::json(200, "{}")).await;
    for status in [301, 302, 303, 307, 308] {
        let locations = [
            elsewhere.base_url.clone(),
            "/path/".to_owned(),
            "file:///etc/passwd".to_owned(),
        ];
        for location in locations {
            let headers = vec![("location", location.clone())];
            let server = Server::scripted([Reply::Http(status, headers, String::new())]).await;
            let error = failure(&server, &Options::default()).await;
            assert_eq!(error.kind(), &ErrorKind::Redirected { location });
            assert_eq!(server.received().len(), 1);
        }
    }
    assert!(elsewhere.received().is_empty());
}

// shows: LIB-22
#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let heads = [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
        "HTTP/1.1 500 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFF\r\n",
    ];
    for head in heads {
        let server = Server::start(|_| Reply::Endless(head.to_owned())).await;
        let error = failure(&server, &Options::default()).await;
        let limit = 1024 * 1024;
        assert_eq!(error.kind(), &ErrorKind::TooLarge { limit }, "{head}");
        assert_eq!(server.received().len(), 1);
    }
}

// shows: LIB-22
#[tokio::test]
async fn a_head_without_end_is_cut_off() {
    let server = Server::start(|_| Reply::Endless("HTTP/1.1 200 OK\r\na: ".to_owned())).await;
    let error = failure(&server, &once()).await;
    assert_eq!(error.kind(), &ErrorKind::Unreachable);
}

#[tokio::test]
async fn a_truncated_answer_is_no_answer() {
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{\"a\": 1}";
    for length in 0..whole.len() {
        let server = Server::start(move |_| Reply::Raw(whole.as_bytes()[..length].to_vec())).await;
        let error = failure(&server, &once()).await;
        assert_eq!(error.kind(), &ErrorKind::Unreachable, "{length}");
    }
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n".to_vec();
    let server = Server::scripted([Reply::Raw(chunked), Reply::json(200, "{}")]).await;
    let (homeserver, _) = server.homeserver(&Options::default());
    homeserver
        .transport
        .send(&Request::get(path()))
        .await
        .unwrap();
    assert_eq!(server.received().len(), 2);
}

// shows: LIB-23, MS-20
#[tokio::test]
async fn silence_ends_in_a_timeout() {
    for head in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n{",
    ] {
        let server = Server::start(|_| Reply::Hang(head.to_owned())).await;
        let mut options = Options {
            total_timeout: Duration::from_millis(50),
            ..Options::default()
        };
        let error = failure(&server, &options).await;
        assert_eq!(error.kind(), &ErrorKind::Timeout, "{head:?}");
        options = once();
        options.read_timeout = Duration::from_millis(50);
        let error = failure(&server, &options).await;
        assert_eq!(error.kind(), &ErrorKind::Timeout, "{head:?}");
    }
}

#[tokio::test]
async fn patience_without_end_is_fine() {
    let server = Server::scripted([Reply::Drop, Reply::json(200, "{}")]).await;
    let (homeserver, _) = server.homeserver(&Options {
        connect_timeout: Duration::MAX,
        read_timeout: Duration::MAX,
        total_timeout: Duration::MAX,
        ..Options::default()
    });
    homeserver
        .transport
        .send(&Request::get(path()))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_page_of_a_proxy_is_not_shown() {
    for (status, kind) in [
        (200, ErrorKind::Malformed { to: "/path" }),
        (403, ErrorKind::NotAHomeserver { status: 403 }),
        (404, ErrorKind::NotAHomeserver { status: 404 }),
        (502, ErrorKind::Server { status: 502 }),
    ] {
        let server = Server::start(move |_| Reply::html(status)).await;
        assert_eq!(failure(&server, &once()).await.kind(), &kind);
    }
}

#[tokio::test]
async fn only_clean_json_is_accepted() {
    for body in [
        &b"\xEF\xBB\xBF{}"[..],
        b"{\"a\": \"\xFF\"}",
        b"{} x",
        b"",
        b"\x1F\x8B\x08",
    ] {
        let mut answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        answer.insert_str(17, "content-encoding: gzip\r\n");
        let answer = [answer.as_bytes(), body].concat();
        let server = Server::start(move |_| Reply::Raw(answer.clone())).await;
        let error = failure(&server, &once()).await;
        assert_eq!(
            error.kind(),
            &ErrorKind::Malformed { to: "/path" },
            "{body:?}"
        );
        // Nothing compressed is asked for, so nothing can blow up.
        assert!(!server.received()[0].headers.contains_key("accept-encoding"));
    }
}

#[tokio::test]
async fn errors_of_matrix_are_told() {
    let server = Server::start(|_| Reply::error(401, "M_UNKNOWN_TOKEN")).await;
    assert!(failure(&server, &once()).await.is_logged_out());
    let server = Server::start(|_| Reply::error(403, "M_FORBIDDEN")).await;
    let error = failure(&server, &Options::default()).await;
    let ErrorKind::Matrix {
        errcode,
        status,
        message,
    } = error.kind()
    else {
        panic!("{error}");
    };
    assert_eq!(
        (errcode.as_str(), *status, message.as_str()),
        ("M_FORBIDDEN", 403, "words")
    );
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_token_that_the_server_repeats_is_blacked_out() {
    let body = format!(r#"{{"errcode":"M_{TOKEN}","error":"{TOKEN}{TOKEN}?"}}"#);
    let server = Server::start(move |_| Reply::json(400, &body)).await;
    let error = failure(&server, &once()).await;
    assert!(error.to_string().contains("****?"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let server = Server::start(|_| Reply::Drop).await;
    let base_url = server.base_url.clone();
    server.stop().await;
    let homeserver = Homeserver::new(&base_url, &Options::default()).unwrap();
    let pauses = RecordedPauses::recorded();
    let transport = homeserver.transport.with_pauses(pauses.clone());
    let Err(error) = transport.send(&Request::post(path(), &())).await else {
        panic!("nobody is there");
    };
    assert_eq!(error.kind(), &ErrorKind::Unreachable);
    // Nothing has been sent, so even a log-in is tried again.
    assert_eq!(pauses.all().len(), 4);
}

// shows: LIB-23
#[tokio::test]
async fn a_server_without_tls_gets_nothing_over_https() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let address = format!("https://{}", server.server_name());
    let log_in = async || {
        let homeserver = Homeserver::new(&address, &Options::default())?;
        homeserver
            .log_in("alice", &Password::new("canary"))
            .session()
            .await
    };
    let error = log_in().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Tls);
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn says_what_it_is_and_whose() {
    let server = Server::start(|_| Reply::json(200, "{}")).await;
    let (homeserver, _) = server.homeserver(&Options::default());
    let token = AccessToken::new(TOKEN);
    let request = Request::get(path()).with_token(&token);
    homeserver.transport.send(&request).await.unwrap();
    homeserver
        .transport
        .send(&Request::get(path()))
        .await
        .unwrap();
    let received = server.received();
    assert_eq!(
        received[0].headers["authorization"],
        format!("Bearer {TOKEN}")
    );
    assert_eq!(received[0].headers["user-agent"], "fourfold/0.1.0");
    assert!(!received[0].target.contains(TOKEN));
    assert!(!received[1].headers.contains_key("authorization"));
}
