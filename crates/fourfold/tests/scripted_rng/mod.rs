//! Random numbers that begin as a test says: this is how a fixed IV gets into a known answer,
//! without a function that takes one.

use std::convert::Infallible;

use fourfold::rand_core::{TryCryptoRng, TryRng};

/// Gives out the script first and a fixed sequence after it.
pub(crate) struct Scripted {
    script: Vec<u8>,
    next: u64,
}

impl Scripted {
    pub(crate) fn new(script: &[u8]) -> Self {
        Self {
            script: script.to_vec(),
            next: 0,
        }
    }
}

impl TryRng for Scripted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, destination: &mut [u8]) -> Result<(), Infallible> {
        for byte in destination {
            *byte = if self.script.is_empty() {
                // splitmix64: not random enough for anything but a test.
                self.next = self.next.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mut z = self.next;
                z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
                (z ^ (z >> 31)) as u8
            } else {
                self.script.remove(0)
            };
        }
        Ok(())
    }
}

impl TryCryptoRng for Scripted {}
