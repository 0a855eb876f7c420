//! Connections that smuggle, dawdle or vanish, and the healthy ones beside them.

use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;

use crate::connections::{Running, Wire, register, request};
use crate::under_test::config;

const VERSIONS: &str = "GET /_matrix/client/versions HTTP/1.1\r\nHost: a\r\n\r\n";

/// A server that waits for nobody longer than a moment.
async fn impatient(folder: &TempDir, connections: usize) -> Running {
    let mut config = config(folder);
    config.limits.receive_timeout = Duration::from_millis(300);
    config.limits.connections = connections;
    Running::start_with(config).await
}

async fn is_served(address: SocketAddr) {
    let mut wire = Wire::open(address).await;
    wire.write(VERSIONS).await.unwrap();
    assert_eq!(wire.read().await.unwrap().0, 200);
}

// shows: HT-01
#[tokio::test]
async fn ht_01_requests_that_smuggle_are_refused_and_others_are_served() {
    let folder = TempDir::new().unwrap();
    let running = Running::start(&folder).await;
    let head = "PUT /_matrix/client/v3/login HTTP/1.1\r\nHost: a\r\n";
    let shapes = [
        format!("{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{{}}"),
        format!("{head}Content-Length: x\r\n\r\n{{}}"),
        format!("{head}Transfer-Encoding: gzip\r\n\r\n{{}}"),
        format!(
            "GET /_matrix/client/versions HTTP/1.1\r\nX: {}\r\n\r\n",
            "x".repeat(100_000)
        ),
        "nonsense\r\n\r\n".to_owned(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
    ];
    for shape in shapes {
        let mut wire = Wire::open(running.address).await;
        // The server may hang up before everything is written.
        let _ = wire.write(&shape).await;
        if let Ok((status, head, _)) = wire.read().await {
            assert!((400..500).contains(&status), "{head}");
        }
    }
    let token = register(running.address, "alice").await;
    assert!(!token.is_empty());
    running.stop().await;
}

/// Every shape is answered, with the head as large as the default allows, and the connection ends.
// shows: HT-01
#[tokio::test]
async fn ht_01_bad_shapes_are_answered_with_400_or_431_and_end_the_connection() {
    let folder = TempDir::new().unwrap();
    let running = Running::start(&folder).await;
    let token = register(running.address, "alice").await;
    let path = "/_matrix/client/v3/user/@alice:localhost/account_data/m.x";
    let head = format!("PUT {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n");
    let large = format!("X: {}\r\n", "x".repeat(100_000));
    let many: String = (0..2_000).map(|n| format!("X-{n}: y\r\n")).collect();
    let chunked = "Transfer-Encoding: chunked";
    for (shape, status) in [
        ("Content-Length: 2, 2\r\n", 400),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", 400),
        ("Content-Length: +2\r\n", 400),
        ("Content-Length: 0x2\r\n", 400),
        ("Content-Length: \r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 400),
        ("Content-Length : 2\r\n", 400),
        ("Transfer-Encoding: xchunked\r\n", 400),
        ("Transfer-Encoding: chunked, identity\r\n", 400),
        ("Transfer-Encoding: gzip\r\n", 400),
        ("Transfer-Encoding: xchunked\r\nContent-Length: 2\r\n", 400),
        (&format!("{chunked}\r\nContent-Length: 2\r\n"), 400),
        (&format!("Content-Length: 2\r\n{chunked}\r\n"), 400),
        (&format!("content-length: 2\r\nX: y\r\n{chunked}\r\n"), 400),
        ("X: y\r\n folded\r\n", 400),
        ("X\0: y\r\n", 400),
        (&large, 431),
        (&many, 431),
    ] {
        let name = shape.get(..40).unwrap_or(shape);
        let mut wire = Wire::open(running.address).await;
        // A body that its chunks or its length would make a good one, and a smuggled request behind.
        let chunks = shape.contains("chunked\r\n") && !shape.contains("xchunked");
        let body = if chunks { "2\r\n{}\r\n0\r\n\r\n" } else { "{}" };
        let text = format!("{head}{shape}\r\n{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        wire.write(&text).await.unwrap();
        let (answered, _, _) = wire.read().await.expect(name);
        assert_eq!(answered, status, "{name}");
        assert!(wire.read().await.is_err(), "{name}");
    }
    let mut wire = Wire::open(running.address).await;
    let reply = wire.send("GET", &path[18..], &token, "").await.unwrap();
    assert_eq!(reply.0, 404, "something was stored: {}", reply.2);
    running.stop().await;
}

// shows: HT-01
#[tokio::test]
async fn ht_01_chunks_alone_are_a_body() {
    let folder = TempDir::new().unwrap();
    let running = Running::start(&folder).await;
    let token = register(running.address, "alice").await;
    let path = "/user/@alice:localhost/account_data/m.x";
    let mut wire = Wire::open(running.address).await;
    // Requests with a length, before and after on the same connection, are no matter.
    for n in 0..3 {
        let reply = wire.send("PUT", path, &token, "{}").await.unwrap();
        assert_eq!(reply.0, 200);
        let head = format!(
            "PUT /_matrix/client/v3{path} HTTP/1.1\r\nHost: a\r\n\
             Authorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        wire.write(&head).await.unwrap();
        wire.write(&format!("7\r\n{{\"n\":{n}}}\r\n0\r\n\r\n"))
            .await
            .unwrap();
        assert_eq!(wire.read().await.unwrap().0, 200);
        let (_, _, body) = wire.send("GET", path, &token, "").await.unwrap();
        assert_eq!(body, format!("{{\"n\":{n}}}"));
    }
    running.stop().await;
}

#[tokio::test]
async fn ad_05_a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    let folder = TempDir::new().unwrap();
    let running = Running::start(&folder).await;
    let token = register(running.address, "alice").await;
    let mut wire = Wire::open(running.address).await;
    let head = format!(
        "PUT /_matrix/client/v3/user/@alice:localhost/account_data/m.x HTTP/1.1\r\n\
         Host: a\r\nAuthorization: Bearer {token}\r\nContent-Length: 104857600\r\n\r\n"
    );
    wire.write(&head).await.unwrap();
    let (status, _, body) = wire.read().await.unwrap();
    assert_eq!(status, 413);
    assert!(body.contains("M_TOO_LARGE"), "{body}");
    is_served(running.address).await;
    running.stop().await;
}

#[tokio::test]
async fn ht_01_who_dawdles_makes_room_for_who_does_not() {
    let folder = TempDir::new().unwrap();
    let running = impatient(&folder, 8).await;
    let token = register(running.address, "alice").await;
    let path = "/user/@alice:localhost/account_data/m.x";
    let whole = request("PUT", path, &token, r#"{"a":"bcdefgh"}"#);
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let mut slow = Vec::new();
    // Five times as many as there are places: nothing said, half a head, half a body.
    for number in 0..40 {
        let mut wire = Wire::open(running.address).await;
        let part = match number % 3 {
            0 => String::new(),
            1 => head[..head.len() / 2].to_owned(),
            _ => format!("{head}\r\n\r\n{}", &body[..4]),
        };
        wire.write(&part).await.unwrap();
        slow.push((number % 3, wire));
    }
    is_served(running.address).await;
    for (kind, mut wire) in slow {
        match wire.read().await {
            Ok((status, _, _)) => assert_eq!(status, 408, "{kind}"),
            Err(_) => assert_ne!(kind, 2, "a request that began is answered"),
        }
    }
    let mut wire = Wire::open(running.address).await;
    assert_eq!(wire.send("GET", path, &token, "").await.unwrap().0, 404);
    running.stop().await;
}

#[tokio::test]
async fn ht_01_connections_that_vanish_leave_nothing_behind() {
    let folder = TempDir::new().unwrap();
    let running = impatient(&folder, 8).await;
    for number in 0..500 {
        let mut wire = Wire::open(running.address).await;
        if number % 2 == 0 {
            wire.write(VERSIONS).await.unwrap();
        }
        // What was not read makes the end a reset.
        drop(wire);
    }
    is_served(running.address).await;
    running.stop().await;
}

#[cfg(target_os = "linux")]
// shows: SRV-11
#[tokio::test]
async fn an_address_that_takes_all_it_can_leaves_places_to_others() {
    let folder = TempDir::new().unwrap();
    let mut config = config(&folder);
    // So long that no place gets free by waiting.
    config.limits.receive_timeout = Duration::from_secs(600);
    config.limits.connections = 16;
    let running = Running::start_with(config).await;
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(Wire::open_from([127, 0, 0, 2], running.address).await);
    }
    for other in 3..6 {
        let mut wire = Wire::open_from([127, 0, 0, other], running.address).await;
        wire.write(VERSIONS).await.unwrap();
        assert_eq!(wire.read().await.unwrap().0, 200);
        idle.push(wire);
    }
    // Beyond those that wait, the address is told so.
    let refused = idle.swap_remove(999).read().await;
    assert!(!refused.is_ok_and(|(status, _, _)| status != 503));
    drop(idle);
    is_served(running.address).await;
    running.stop().await;
}
