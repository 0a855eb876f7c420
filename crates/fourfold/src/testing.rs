//! What unit tests share: randomness with a fixed seed, and the known answers in `vectors/`.
#![expect(clippy::disallowed_methods, reason = "reads the known answers")]

use std::convert::Infallible;
use std::fs;
use std::path::PathBuf;

use rand_core::TryRng;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Random numbers that are the same in every run.
pub(crate) fn rng() -> Fixed {
    rng_from(0)
}

/// Other random numbers that are the same in every run.
pub(crate) fn rng_from(counter: u64) -> Fixed {
    Fixed { counter }
}

pub(crate) struct Fixed {
    counter: u64,
}

impl TryRng for Fixed {
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
        for chunk in destination.chunks_mut(32) {
            self.counter += 1;
            let block = Sha256::digest(self.counter.to_le_bytes());
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Fixed {}

/// One known answer.
pub(crate) struct Vector {
    path: PathBuf,
    json: Value,
}

/// All known answers of an operation.
pub(crate) fn vectors(operation: &str) -> Vec<Vector> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../vectors")
        .join(operation);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .map(|file| {
            let path = file.unwrap().path();
            let json = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            Vector { path, json }
        })
        .collect()
}

impl Vector {
    pub(crate) fn text(&self, member: &str) -> &str {
        self.json["input"][member].as_str().unwrap()
    }

    pub(crate) fn bytes<const N: usize>(&self, member: &str) -> [u8; N] {
        let text = self.text(member);
        core::array::from_fn(|index| u8::from_str_radix(&text[2 * index..][..2], 16).unwrap())
    }

    pub(crate) fn expect_ok(&self, found: &Value) {
        assert_eq!(&self.json["expect"]["ok"], found, "{}", self.path.display());
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
