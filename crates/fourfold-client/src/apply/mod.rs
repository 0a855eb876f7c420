//! Carrying out a plan, so that an interruption at any point loses nothing.

mod error;
mod run;
mod signature;
mod step;

pub use self::error::ApplyError;
pub use self::run::{Progress, apply, resume};
pub use self::signature::{SignError, forget_signature, sign_device};
pub use self::step::StepProgress;

#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod tests;
