//! JSON that holds secrets: written into memory that is wiped.

use serde::Serialize;
use zeroize::Zeroizing;

/// The JSON of a value. `None` for what JSON cannot express.
pub(crate) fn to_wiped_json(value: &impl Serialize) -> Option<Zeroizing<Vec<u8>>> {
    // Measured first: growing would leave pieces of it behind in memory.
    let mut size = Size(0);
    serde_json::to_writer(&mut size, value).ok()?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.0));
    serde_json::to_writer(&mut *bytes, value).ok()?;
    Some(bytes)
}

/// Counts what is written.
struct Size(usize);

impl std::io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // shows: LIB-21
    #[test]
    fn nothing_is_copied_while_it_is_written() {
        let bytes = to_wiped_json(&["sëcret", "b"]).unwrap();
        assert_eq!(bytes.as_slice(), "[\"sëcret\",\"b\"]".as_bytes());
        assert_eq!(bytes.capacity(), bytes.len());
    }
}
