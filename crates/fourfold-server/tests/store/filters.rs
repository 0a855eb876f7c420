//! Filters, as every store must keep them.

use bytes::Bytes;
use fourfold_server::store::{Store, StoreError};

use crate::account;

pub(crate) async fn filters_are_kept(store: &dyn Store) {
    let alice = account(store, "alice", None).await;
    let bob = account(store, "bob", None).await;
    let one = store
        .put_filter(&alice, Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let two = store
        .put_filter(&alice, Bytes::from_static(b"{ }"))
        .await
        .unwrap();
    assert_ne!(one, two);
    assert_eq!(
        store
            .put_filter(&alice, Bytes::from_static(b"{}"))
            .await
            .unwrap(),
        one
    );
    let refused = store.put_filter(&alice, Bytes::from_static(b"{  }")).await;
    assert!(matches!(refused, Err(StoreError::Quota(_))), "{refused:?}");
    assert_eq!(
        store
            .filter(&alice, two)
            .await
            .unwrap()
            .unwrap()
            .definition(),
        &b"{ }"[..]
    );
    assert!(store.filter(&alice, 99).await.unwrap().is_none());
    assert!(store.filter(&bob, one).await.unwrap().is_none());
}
