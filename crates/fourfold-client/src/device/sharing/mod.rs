//! Secret sharing of this device: the machine, and what of it is kept.

mod audit;
mod held;
mod machine;
mod received;
mod source;

pub(super) use self::machine::Sharing;
pub use self::received::ReceivedSecret;
pub use self::source::{NoSecrets, SecretSource};
