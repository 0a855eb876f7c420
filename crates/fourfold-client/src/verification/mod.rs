//! Verifying a device of the user by comparing emoji
//! ([Key verification](https://spec.matrix.org/v1.19/client-server-api/#key-verification-framework)).
//!
//! Without I/O: [`Verification`](process::Verification) is one verification,
//! [`Verifications`] all of them; what is sent and shown comes out of them.

mod cancel;
mod content;
mod emoji;
mod keys;
mod process;
mod sas;
mod set;
#[cfg(test)]
mod tests;

pub use self::cancel::CancelCode;
pub use self::emoji::Emoji;
pub(crate) use self::keys::{OtherSide, OwnSide, is_ambiguous};
pub(crate) use self::process::Output;
pub use self::sas::ShortString;
pub(crate) use self::set::Verifications;
