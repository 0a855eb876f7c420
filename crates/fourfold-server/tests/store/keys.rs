//! Keys, as every store must keep them.

use std::collections::HashSet;

use bytes::Bytes;
use fourfold_server::store::{
    DeviceId, KeyChange, KeyObjects, OneTimeKey, OneTimeUpload, Store, StoreError, WantedKey,
};

use crate::{account, session};

const ALGORITHM: &str = "signed_curve25519";

fn one_time_key(id: &str) -> OneTimeKey {
    OneTimeKey {
        algorithm: ALGORITHM.to_owned(),
        id: id.to_owned(),
        key: Bytes::from(format!("{{\"key\":\"{id}\"}}")),
    }
}

pub(crate) async fn a_key_is_claimed_once(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let device = DeviceId::new("D");
    let upload = OneTimeUpload {
        device: device.clone(),
        one_time_keys: (0..50).map(|n| one_time_key(&format!("k{n:02}"))).collect(),
        fallback_keys: vec![one_time_key("fallback")],
    };
    let change = KeyChange {
        objects: None,
        one_time: Some(upload),
    };
    store.put_keys(&alice, change).await.unwrap();
    let counts = store.key_counts(&alice, &device).await.unwrap();
    assert_eq!(counts.one_time_keys.get(ALGORITHM), Some(&50));
    assert_eq!(counts.unused_fallback_keys, [ALGORITHM]);

    let wanted = WantedKey {
        device: device.clone(),
        algorithm: ALGORITHM.to_owned(),
    };
    let claims = (0..100).map(|_| store.claim_keys(&alice, vec![wanted.clone()]));
    let mut claims: Vec<_> = claims.collect();
    let mut ids = Vec::new();
    // All of them are on their way before any is answered.
    std::future::poll_fn(|context| {
        claims.retain_mut(|claim| match claim.as_mut().poll(context) {
            std::task::Poll::Ready(claimed) => {
                ids.extend(claimed.unwrap().into_iter().map(|it| it.key.id));
                false
            }
            std::task::Poll::Pending => true,
        });
        if claims.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    assert_eq!(ids.len(), 100);
    let once: HashSet<_> = ids.iter().filter(|id| *id != "fallback").collect();
    assert_eq!(once.len(), 50);
    assert_eq!(ids.iter().filter(|id| *id == "fallback").count(), 50);
    let counts = store.key_counts(&alice, &device).await.unwrap();
    assert!(counts.one_time_keys.is_empty() && counts.unused_fallback_keys.is_empty());
}

pub(crate) async fn keys_change_only_from_their_revision(store: &dyn Store) {
    let alice = account(store, "alice", Some(session("D", 1))).await;
    let device = DeviceId::new("D");
    let revision = store.keys(&alice).await.unwrap().unwrap().revision;
    let change = |keys: &'static str| KeyChange {
        objects: Some(KeyObjects {
            revision,
            devices: vec![(device.clone(), Bytes::from_static(keys.as_bytes()))],
            ..KeyObjects::default()
        }),
        one_time: None,
    };
    store.put_keys(&alice, change("{\"a\":1}")).await.unwrap();
    let refused = store.put_keys(&alice, change("{\"a\":2}")).await;
    assert!(matches!(refused, Err(StoreError::Changed)), "{refused:?}");
    let keys = store.keys(&alice).await.unwrap().unwrap();
    assert_eq!(keys.device("D").unwrap().keys, "{\"a\":1}");
    assert!(keys.revision > revision);
    store
        .delete_devices(&alice, std::slice::from_ref(&device))
        .await
        .unwrap();
    let keys = store.keys(&alice).await.unwrap().unwrap();
    assert!(keys.devices.is_empty());
}
