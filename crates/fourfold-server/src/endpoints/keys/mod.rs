//! `/keys/*`: what devices and users publish so that others can encrypt to them and trust them.
//!
//! The server checks form and signatures, so that nobody stores what no client would accept. It
//! holds public keys alone.

mod attempts;
mod changes;
mod claim;
mod cross_signing;
mod query;
mod signatures;
mod signed;
mod upload;

pub(crate) use self::changes::changes;
pub(crate) use self::claim::claim;
pub(crate) use self::cross_signing::upload_cross_signing;
pub(crate) use self::query::query;
pub(crate) use self::signatures::upload_signatures;
pub(crate) use self::signed::SIGNED_CURVE25519;
pub(crate) use self::upload::upload;
