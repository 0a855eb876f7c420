//! What an attacker has. For tests only: nothing that is shipped links this crate, and it links none
//! of our crates, so that it shares none of their mistakes.

mod forger;
pub mod lies;
pub mod proxy;

pub use forger::{Forger, sign_with};
