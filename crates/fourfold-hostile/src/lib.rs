//! What an attacker has. For tests only: nothing that is shipped links this crate, and it links none
//! of our crates, so that it shares none of their mistakes.

mod attacker;
mod forger;
pub mod lies;
pub mod proxy;
mod signer;
mod victim;

pub use attacker::{Attacker, ROGUE};
pub use forger::{Forger, sign_with};
pub use signer::Signer;
pub use victim::{Device, Signers, Victim};
