//! HTTP: everything between a socket and a handler that any endpoint needs.
//!
//! On the way in, a connection takes a place (`places`), is served (`connection`, `incoming`), and the
//! bodies of its requests are received within a budget (`bodies`, `slow_bodies`, `budget`); `address`
//! and `condition` read the head. On the way out, an answer is made (`answer`, `error`, `refusal`,
//! `json`), counted while its reader takes it (`unread`), and given up when nobody reads
//! (`write_timeout`). How often anybody may ask is `rates`, with a `rate_limit` each; how many syncs
//! of a user wait is `polls`. `traffic` holds the bounds of one server together.
//!
//! `error` is at the bottom; nothing here knows a handler.

pub(crate) mod address;
pub(crate) mod answer;
pub(crate) mod bodies;
pub(crate) mod budget;
pub(crate) mod condition;
pub(crate) mod connection;
pub(crate) mod error;
pub(crate) mod incoming;
pub(crate) mod json;
pub(crate) mod places;
pub(crate) mod polls;
pub(crate) mod rate_limit;
pub(crate) mod rates;
pub(crate) mod refusal;
pub(crate) mod slow_bodies;
pub(crate) mod stopping;
pub(crate) mod traffic;
pub(crate) mod unread;
pub(crate) mod write_timeout;
