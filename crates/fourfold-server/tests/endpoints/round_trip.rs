//! Properties: any type and any object come back as they went in.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use crate::under_test::{UnderTest, events};

/// JSON text in every spelling that the grammar has: numbers beyond any type, escapes, spaces.
fn value() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?";
    let escape = prop_oneof![
        Just("\\u0000".to_owned()),
        Just("\\ud83d\\udd11".to_owned()),
        Just("\\/\\b\\f\\n\\r\\t\\\\\\\"".to_owned()),
        "\\\\u00[0-9a-f]{2}",
        any::<char>().prop_map(|c| {
            let text = serde_json::to_string(&c).unwrap();
            text[1..text.len() - 1].to_owned()
        }),
    ];
    let string =
        prop::collection::vec(escape, 0..5).prop_map(|parts| format!("\"{}\"", parts.concat()));
    let leaf = prop_oneof![
        number.prop_map(String::from),
        string,
        Just("true".to_owned()),
        Just("false".to_owned()),
        Just("null".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[ {} ]", items.join(" ,\n"))),
            members(inner),
        ]
    })
}

fn members(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::btree_map(any::<String>(), value, 0..5).prop_map(|members| {
        let members: Vec<_> = members
            .iter()
            .map(|(name, value)| format!("{} : {value}", serde_json::to_string(name).unwrap()))
            .collect();
        format!("{{{}}}", members.join("\t,"))
    })
}

fn event_type() -> impl Strategy<Value = String> {
    let special = "[/+=%?#&. \\\\;:@!~\"'<>{}\\[\\]*`^|$,]{1,20}";
    let storage_key = "m\\.secret_storage\\.key\\.[A-Za-z0-9+/]{32}={0,2}";
    prop_oneof![special, storage_key, "\\PC{1,40}", any::<String>()].prop_filter("allowed", |it| {
        !it.is_empty() && it.len() <= 255 && !it.contains('\0')
    })
}

// shows: SRV-06, SRV-07
#[test]
fn any_type_and_any_object_come_back_byte_for_byte() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(UnderTest::start());
    let alice = runtime.block_on(server.register("alice"));
    let check = async |event_type: String, content: String| {
        let before = server.sync(&alice, "filter={}").await;
        let put = server.put(&alice, &event_type, &content).await;
        prop_assert_eq!(put.status, 200, "{}", &content);
        let got = server.get(&alice, &alice.path(&event_type)).await;
        prop_assert_eq!(&got.body, content.as_bytes());
        let since = before["next_batch"].as_str().unwrap();
        let after = server.get(&alice, &format!("/sync?since={since}")).await;
        let text = String::from_utf8(after.body.to_vec()).unwrap();
        let shown = format!("\"content\":{content}}}");
        prop_assert!(text.contains(&shown));
        prop_assert_eq!(&events(&after.json())[0].0, &event_type);
        Ok::<_, TestCaseError>(())
    };
    let mut runner = TestRunner::new(Config {
        cases: 256,
        ..Config::default()
    });
    let strategy = (event_type(), members(value()));
    runner
        .run(&strategy, |(event_type, content)| {
            runtime.block_on(check(event_type, content))
        })
        .unwrap();
}

#[test]
fn any_bytes_are_answered_and_never_a_fault_of_the_server() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(UnderTest::start());
    let alice = runtime.block_on(server.register("alice"));
    let mut runner = TestRunner::new(Config {
        cases: 256,
        ..Config::default()
    });
    let json_like = "[\\[\\]{}\",:0-9a-z\\\\ .+-]{0,60}";
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        json_like.prop_map(String::into_bytes)
    ];
    runner
        .run(&bytes, |body| {
            let path = alice.path("m.x");
            let put = server.send("PUT", &path, Some(&alice.token), body.clone());
            let put = runtime.block_on(put);
            prop_assert!(matches!(put.status, 200 | 400), "{}", put.status);
            if put.status == 200 {
                let got = runtime.block_on(server.get(&alice, &path));
                prop_assert_eq!(&got.body[..], &body[..]);
            }
            Ok(())
        })
        .unwrap();
}
