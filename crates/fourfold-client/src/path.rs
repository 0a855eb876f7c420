//! Paths of requests, built from segments that are percent-encoded one by one.

use crate::error::{Error, ErrorKind};

/// The path and the query of a request, safe to append to the address of a homeserver.
#[derive(Clone, Debug)]
pub(crate) struct Path(String);

impl Path {
    /// A path that is known when the program is written.
    pub(crate) fn fixed(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    /// Appends `/` and a segment, every byte of it percent-encoded that is not unreserved.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSegment`] when a server or a proxy could take it for something else.
    pub(crate) fn segment(mut self, segment: &str) -> Result<Self, Error> {
        if segment.is_empty()
            || segment == "."
            || segment == ".."
            || segment.len() > MAX_SEGMENT_BYTES
            || segment.chars().any(char::is_control)
        {
            return Err(ErrorKind::InvalidSegment.into());
        }
        self.0.push('/');
        percent_encode(segment, &mut self.0);
        Ok(self)
    }

    /// Appends a part that is known when the program is written.
    pub(crate) fn join(mut self, part: &'static str) -> Self {
        self.0.push_str(part);
        self
    }

    /// Appends `?name=value`, the value percent-encoded.
    pub(crate) fn query(mut self, name: &'static str, value: &str) -> Self {
        self.0.push(if self.0.contains('?') { '&' } else { '?' });
        self.0.push_str(name);
        self.0.push('=');
        percent_encode(value, &mut self.0);
        self
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without the query.
    pub(crate) fn without_query(&self) -> &str {
        self.0.split('?').next().unwrap_or_default()
    }
}

/// Appends a text with every byte percent-encoded that is not unreserved in RFC 3986.
fn percent_encode(text: &str, encoded: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for nibble in [byte >> 4, byte & 0xF] {
                let digit = char::from_digit(nibble.into(), 16).unwrap_or('0');
                encoded.push(digit.to_ascii_uppercase());
            }
        }
    }
}

/// Event types and identifiers of Matrix have at most 255 bytes.
const MAX_SEGMENT_BYTES: usize = 255;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::percent_decode;

    // shows: LIB-14
    #[test]
    fn encodes_what_key_ids_are_made_of() {
        let path = Path::fixed("/a")
            .segment("m.key.Me3n4Td/oh+h=%2F é")
            .unwrap();
        assert_eq!(path.as_str(), "/a/m.key.Me3n4Td%2Foh%2Bh%3D%252F%20%C3%A9");
    }

    // shows: LIB-14
    #[test]
    fn refuses_segments_that_could_escape() {
        let long = "x".repeat(256);
        for segment in ["", ".", "..", "a\0", "a\nb", "\u{85}", &long] {
            let error = Path::fixed("/a").segment(segment).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::InvalidSegment),
                "{segment:?}"
            );
        }
        Path::fixed("/a").segment(&"x".repeat(255)).unwrap();
        Path::fixed("/a").segment("...").unwrap();
    }

    proptest! {
        // shows: LIB-14
        #[test]
        fn a_segment_stays_one_segment(text in any::<String>()) {
            let Ok(path) = Path::fixed("/a").segment(&text) else { return Ok(()) };
            // As a URL parser sees it: nothing is merged, split, or cut off.
            let url = reqwest::Url::parse(&format!("http://h{}", path.as_str())).unwrap();
            prop_assert_eq!(url.path(), path.as_str());
            prop_assert_eq!(url.query(), None);
            prop_assert_eq!(url.fragment(), None);
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            prop_assert_eq!(segments.len(), 2);
            prop_assert_eq!(percent_decode(segments[1]), text);
        }

        #[test]
        fn a_query_stays_one_query(text in any::<String>()) {
            let path = Path::fixed("/a").query("filter", &text);
            let url = reqwest::Url::parse(&format!("http://h{}", path.as_str())).unwrap();
            prop_assert_eq!(url.path(), "/a");
            let pairs: Vec<_> = url.query_pairs().collect();
            prop_assert_eq!(pairs.len(), 1);
            prop_assert_eq!(pairs[0].1.replace('+', " "), text.replace('+', " "));
        }
    }
}
