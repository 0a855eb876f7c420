//! What is kept as a whole or not at all.

use std::mem;

use super::error::DeviceError;
use super::this_device::Device;

/// A step of the device that waits for others in between. What it changes is pending until the device
/// commits. When it ends with an error, or is dropped before its end because the future of the call
/// was, the device goes back to what is kept: nothing of it is in the next commit by accident.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) device: &'a mut Device,
    has_ended: bool,
}

impl<'a> Step<'a> {
    pub(super) fn begin(device: &'a mut Device) -> Self {
        Self {
            device,
            has_ended: false,
        }
    }

    pub(super) fn end<T>(mut self, result: Result<T, DeviceError>) -> Result<T, DeviceError> {
        self.has_ended = true;
        self.device.or_rolled_back(result)
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if !self.has_ended {
            self.device.roll_back();
        }
    }
}

impl Device {
    /// Changes something and keeps it. After an error nothing of it happened, neither on disk nor here,
    /// whether the change or the disk failed.
    pub(super) fn keep<T>(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        let changed = change(self);
        let changed = self.or_rolled_back(changed)?;
        self.commit()?;
        Ok(changed)
    }

    /// Keeps what is pending. After an error nothing of it happened, neither on disk nor here.
    pub(super) fn commit(&mut self) -> Result<(), DeviceError> {
        let committed = match mem::take(&mut self.torn) {
            // What is here may be ahead of what is kept, and what is pending come of it.
            Some(error) => Err(error),
            None => self
                .sharing
                .keep(&mut self.rows)
                .and_then(|()| Ok(self.rows.commit()?)),
        };
        self.or_rolled_back(committed)?;
        self.events.keep();
        Ok(())
    }

    /// After an error, goes back to what is kept.
    pub(super) fn or_rolled_back<T>(
        &mut self,
        result: Result<T, DeviceError>,
    ) -> Result<T, DeviceError> {
        if result.is_err() {
            self.roll_back();
        }
        result
    }

    fn roll_back(&mut self) {
        self.rows.discard();
        self.events.take_back();
        let devices = self.devices.reload(&self.rows, &self.own);
        let sharing = self.sharing.reload(&self.rows);
        // Nothing is kept before this could be done.
        self.torn = devices.and(sharing).err();
    }
}
