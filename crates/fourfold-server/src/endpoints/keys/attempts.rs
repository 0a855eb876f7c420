//! Changes that are decided on a revision, and again when it has moved.

/// How often a change is decided again because another one of the same user came first.
pub(super) const MAX_ATTEMPTS: usize = 16;
