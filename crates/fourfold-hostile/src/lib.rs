//! What an attacker has. For tests only: nothing that is shipped links this crate, and it links none
//! of our crates, so that it shares none of their mistakes.
//!
//! A client under test talks to a [`Proxy`](proxy::Proxy) that stands before its homeserver. The proxy
//! tells a lie of the [table](lies) by its name:
//!
//! ```no_run
//! use fourfold_hostile::{ROGUE, Victim, proxy::Proxy};
//! let proxy = Proxy::to("http://127.0.0.1:8008");
//! // The client logs in at `proxy.address`, and is set up.
//! proxy.aim_at(Victim {
//!     user_id: "@alice:localhost".to_owned(),
//!     ..Victim::default()
//! });
//! proxy.play("device-signed-by-nobodys-key");
//! // A request for a secret by the device `ROGUE` is not answered now.
//! assert!(proxy.seen().iter().all(|(request, _)| !request.head.contains(ROGUE)));
//! ```
//!
//! Most lies need what any homeserver has. Some ask what is left when one defence is gone, and need a
//! signature of the user's own: those of [`Signers`].

mod attacker;
mod forger;
pub mod lies;
mod message;
pub mod proxy;
mod signer;
mod victim;

pub use attacker::{Attacker, ROGUE};
pub use forger::{Forger, sign_with};
pub use signer::Signer;
pub use victim::{Device, Signers, Victim};
