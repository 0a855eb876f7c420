//! `fourfold device verify`: verify this device with a key of secret storage, or another one by emoji.

mod emoji;
mod options;
mod question;
mod this_device;
mod worth;

pub(crate) use self::options::Options;
use crate::error::Result;
use crate::options::Global;

/// Verifies this device; or another one, if the options say so.
pub(crate) fn run(global: &Global, options: &Options) -> Result<()> {
    if options.emoji || options.device_id.is_some() {
        emoji::run(global, options)
    } else {
        this_device::run(global, options)
    }
}
