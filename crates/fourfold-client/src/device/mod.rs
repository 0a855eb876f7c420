//! The device: its keys, and what it keeps about other devices.

mod ask;
mod bootstrap;
mod clock;
mod device_list;
mod error;
mod event;
mod event_queue;
mod new_device;
mod olm;
mod open;
mod outbox;
mod position;
mod receive;
mod remembered;
mod request;
mod run;
mod share;
mod sharing;
mod shown;
mod step;
mod sync;
mod this_device;
mod trust;
mod unstored;
mod upkeep;
mod upload;
mod verify;
mod verify_self;
mod wedged;

pub use self::error::DeviceError;
pub use self::event::{DeviceEvent, VerificationEvent};
pub use self::new_device::NewDevice;
pub use self::olm::OlmError;
pub use self::remembered::Remembered;
pub use self::run::Backoff;
pub use self::sharing::{NoSecrets, ReceivedSecret, SecretSource};
pub use self::sync::SyncBatch;
pub use self::this_device::Device;
pub use self::verify_self::{SelfVerification, VerifySelfError};

#[cfg(test)]
mod tests;
