//! Logging in: who, by what, and the session that comes of it.

mod interactive;
mod log_in;
mod name;
mod session;

pub(crate) use self::interactive::{Auth, WithAuth, authenticate};
pub use self::name::LoginName;
pub(crate) use self::session::is_user_id;
pub use self::session::{AccessToken, Password, Session, WhoAmI};
