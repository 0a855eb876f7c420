//! Stable codes of errors, for programs that must tell them apart across languages and versions.

/// Gives an error type its codes: one for each of its own cases, and those of the errors that it only
/// hands on, after a semicolon.
macro_rules! error_codes {
    ($type:ty: $($case:pat => $code:literal,)* $(; $($outer:pat => $inner:ident,)*)?) => {
        impl $type {
            /// The codes that [`code`](Self::code) gives for cases of this type itself. Errors that it
            /// only hands on have codes of their own.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// A stable code of the case, in snake case: the texts of errors may change, codes do
            /// not. `docs/error-codes.md` lists them all.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    $($case => $code,)*
                    $($($outer => $inner.code(),)*)?
                }
            }
        }
    };
}

pub(crate) use error_codes;
