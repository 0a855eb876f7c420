//! Signed JSON: objects that carry Ed25519 signatures of themselves.
//!
//! [Signing JSON](https://spec.matrix.org/v1.19/appendices/#signing-json): the signature is over
//! the canonical JSON of the object without `signatures` and `unsigned`, and stands at
//! `signatures[entity]["ed25519:…"]`. Any object can be verified; only a
//! [`Signable`](crate::signable::Signable), which was built here, can be signed.

mod public_key;
mod signing_key;

pub use self::public_key::{PublicKey, PublicKeyError, SignatureError};
pub use self::signing_key::{SigningKey, sign_with};
