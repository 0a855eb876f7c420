//! Changes that are decided on a revision, and again when it has moved.

/// The maximum number of retries of a change because another one of the same user came first.
pub(super) const MAX_ATTEMPTS: usize = 16;
