//! Secret sharing: the machine, and what of it is kept.

pub(super) mod audit;
pub(super) mod held;
pub(super) mod machine;
pub(super) mod secrets;
