//! What the names of keys and of secrets have in common: a text that was checked once.

/// Conversions between a checked text and a string, which repeat the check.
macro_rules! identifier_conversions {
    ($identifier:ident, $error:ident) => {
        impl std::fmt::Display for $identifier {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$identifier> for String {
            fn from(identifier: $identifier) -> Self {
                identifier.0
            }
        }

        impl TryFrom<String> for $identifier {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                Self::new(text)
            }
        }
    };
}

pub(crate) use identifier_conversions;
