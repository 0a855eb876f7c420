//! The kinds of signed objects, and the members that tell them apart.

use crate::Content;

/// The kinds of objects that carry signatures.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// A master, self-signing or user-signing key.
    CrossSigningKey,
    /// The keys of a device.
    Device,
    /// The `auth_data` of a key backup.
    KeyBackup,
    /// The description of a secret storage key, as of 2019.
    KeyDescription,
    /// A one-time or fallback key.
    OneTimeKey,
}

impl Kind {
    /// Checks that an object has no member by which it could be taken for another kind, too. Who
    /// relies on a signature checks this first.
    ///
    /// # Errors
    ///
    /// [`ForeignMember`] names such a member.
    ///
    /// ```
    /// use fourfold::{Content, signable::Kind};
    /// let object = Content::from_json(r#"{"public_key": "AAAA", "usage": ["master"]}"#)?;
    /// assert_eq!(Kind::KeyBackup.check(&object).unwrap_err().member, "usage");
    /// # Ok::<(), fourfold::ContentError>(())
    /// ```
    pub fn check(self, object: &Content) -> Result<(), ForeignMember> {
        let foreign = MEMBERS
            .iter()
            .find(|(member, kinds)| !kinds.contains(&self) && object.raw(member).is_some());
        match foreign {
            Some((member, _)) => Err(ForeignMember { member }),
            None => Ok(()),
        }
    }
}

/// An object has a member that belongs to another kind of signed object, so that whoever signed it
/// may have meant something else.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("has the member `{member}`, which belongs to another kind of signed object")]
#[non_exhaustive]
pub struct ForeignMember {
    /// The member.
    pub member: &'static str,
}

crate::error_code::error_codes! {
    ForeignMember:
    Self { .. } => "foreign_member",
}

/// The members by which the kinds are told apart, with the kinds that have them.
const MEMBERS: &[(&str, &[Kind])] = &[
    ("algorithm", &[Kind::KeyDescription]),
    ("algorithms", &[Kind::Device]),
    ("device_id", &[Kind::Device]),
    ("key", &[Kind::OneTimeKey]),
    ("keys", &[Kind::CrossSigningKey, Kind::Device]),
    ("pubkey", &[Kind::KeyDescription]),
    ("public_key", &[Kind::KeyBackup]),
    ("usage", &[Kind::CrossSigningKey]),
    ("user_id", &[Kind::CrossSigningKey, Kind::Device]),
];
