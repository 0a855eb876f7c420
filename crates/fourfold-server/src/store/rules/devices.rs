//! Devices and filters: how many there may be, and what cannot be a device ID.

use crate::store::{DeviceId, StoreError};

/// Checks that a user with so many devices may have one more.
///
/// # Errors
///
/// [`StoreError::Quota`].
pub fn check_room(devices: u64, most: u64) -> Result<(), StoreError> {
    if devices >= most {
        return Err(StoreError::Quota("devices"));
    }
    Ok(())
}

/// The public key as which a device ID could be read: no cross-signing key of the user may equal it,
/// padded or not, or the session is refused with [`StoreError::DeviceIdTaken`].
#[must_use]
pub fn as_public_key(device: &DeviceId) -> &str {
    device.as_str().trim_end_matches('=')
}

/// The number of the next filter after the newest. Filters are never deleted, so that the newest
/// number counts them.
///
/// # Errors
///
/// [`StoreError::Quota`].
pub fn next_filter(newest: u64, most: u64) -> Result<u64, StoreError> {
    let next = newest + 1;
    if next > most {
        return Err(StoreError::Quota("filters"));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_as_the_quota_says() {
        check_room(2, 3).unwrap();
        check_room(3, 3).unwrap_err();
        assert_eq!(next_filter(0, 2).unwrap(), 1);
        assert_eq!(next_filter(1, 2).unwrap(), 2);
        next_filter(2, 2).unwrap_err();
    }

    #[test]
    fn a_device_id_is_read_as_a_key_with_or_without_padding() {
        assert_eq!(as_public_key(&DeviceId::new("AbC")), "AbC");
        assert_eq!(as_public_key(&DeviceId::new("AbC==")), "AbC");
    }
}
