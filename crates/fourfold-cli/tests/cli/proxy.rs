//! The proxy of the hostile homeserver, by the name that the tests call it.

pub(crate) use fourfold_hostile::proxy::{Message, Proxy, Turn};
