//! Secret storage as the homeserver shows it: judged first, then a key of it found, then a secret
//! opened.

pub(crate) mod judged;
pub(crate) mod opening;
pub(crate) mod unlock;
