//! JSON that holds secrets: written into memory that is wiped.

use std::io::Write;

use serde::Serialize;
use zeroize::Zeroizing;

/// The JSON of a value that holds secrets, in one line and in memory that is wiped. `None` for what
/// JSON cannot express.
///
/// A [`serde_json::Value`] of secrets keeps copies of them: give it a type that borrows them.
///
/// ```
/// #[derive(serde::Serialize)]
/// struct Answer<'a> {
///     secret: &'a str,
/// }
/// let json = fourfold_client::to_wiped_json(&Answer { secret: "s3cret" });
/// assert_eq!(json.unwrap().as_slice(), br#"{"secret":"s3cret"}"#);
/// ```
pub fn to_wiped_json(value: &impl Serialize) -> Option<Zeroizing<Vec<u8>>> {
    measured(|writer| serde_json::to_writer(writer, value))
}

/// The same in many lines, for people.
pub fn to_wiped_json_pretty(value: &impl Serialize) -> Option<Zeroizing<Vec<u8>>> {
    measured(|writer| serde_json::to_writer_pretty(writer, value))
}

/// A writer into memory that never grows: growing would leave copies of parts behind.
fn measured(
    write: impl Fn(&mut dyn Write) -> serde_json::Result<()>,
) -> Option<Zeroizing<Vec<u8>>> {
    let mut size = Size(0);
    write(&mut size).ok()?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size.0));
    write(&mut *bytes).ok()?;
    Some(bytes)
}

/// Counts what is written.
struct Size(usize);

impl Write for Size {
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
        let value = ["sëcret", "b"];
        let bytes = to_wiped_json(&value).unwrap();
        assert_eq!(bytes.as_slice(), "[\"sëcret\",\"b\"]".as_bytes());
        assert_eq!(bytes.capacity(), bytes.len());
        let bytes = to_wiped_json_pretty(&value).unwrap();
        assert_eq!(bytes.as_slice(), "[\n  \"sëcret\",\n  \"b\"\n]".as_bytes());
        assert_eq!(bytes.capacity(), bytes.len());
    }
}
