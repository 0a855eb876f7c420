//! What can be signed: objects that are built here, member by member.
//!
//! A signature says "this is mine", and its reader decides by the members of the object what it is:
//! a cross-signing key, a device, a key backup. Anyone who signs an object that arrived signs all
//! that its sender put into it: a server that adds `usage` and `keys` to the data of a backup has
//! the user sign a cross-signing key of the server's own. So a [`Signable`] has no constructor that
//! takes an object, only ones that take values whose meaning is known, and every signature in this
//! crate is made over one. The reading side holds against the same trick: an object with a [member
//! of another kind](ForeignMember) is refused, whoever signed it.

mod kind;
mod object;

pub use self::kind::{ForeignMember, Kind};
pub(crate) use self::object::BackupPassphrase;
pub use self::object::{KeyUsage, Signable};
