//! `/keys/*`: what devices and users publish so that others can encrypt to them and trust them.
//!
//! The server checks form and signatures, so that nobody stores what no client would accept. It
//! holds public keys alone.

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
pub(crate) use self::upload::upload;

/// The one algorithm of one-time keys that clients use today. Always counted, also at zero, because
/// clients upload when they are told that there is none.
pub(crate) const SIGNED_CURVE25519: &str = "signed_curve25519";

/// How often a change is decided again because another one of the same user came first.
const ATTEMPTS: usize = 16;
