//! Access and refresh tokens: made here, shown once, stored as hashes.
//!
//! A token reads `ff_<local part>_<256 random bits>`, both in unpadded URL-safe base64 (`ffr_` for
//! refresh tokens). It carries the local part because the user is the shard: the token alone says
//! where its row lives.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::http::error::MatrixError;
use crate::store::TokenHash;

/// A token in clear. It is sent to its owner and then forgotten.
pub(crate) struct Token(Zeroizing<String>);

impl Token {
    /// A new access token for the user with this local part.
    pub(crate) fn access(localpart: &str) -> Result<Self, MatrixError> {
        Self::generate(ACCESS, localpart)
    }

    /// A new refresh token.
    pub(crate) fn refresh(localpart: &str) -> Result<Self, MatrixError> {
        Self::generate(REFRESH, localpart)
    }

    /// The token as it is stored.
    pub(crate) fn hash(&self) -> TokenHash {
        hash(&self.0)
    }

    /// The token, for the answer that hands it out.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    fn generate(prefix: &str, localpart: &str) -> Result<Self, MatrixError> {
        let random = Zeroizing::new(random::<32>()?);
        let mut token = Zeroizing::new(String::with_capacity(
            prefix.len() + localpart.len().div_ceil(3) * 4 + 1 + RANDOM_LENGTH,
        ));
        token.push_str(prefix);
        URL_SAFE_NO_PAD.encode_string(localpart, &mut token);
        token.push('_');
        URL_SAFE_NO_PAD.encode_string(*random, &mut token);
        Ok(Self(token))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The local part in an access token and the token's hash; `None` for what we never made.
pub(crate) fn parse_access(token: &str) -> Option<(String, TokenHash)> {
    parse(ACCESS, token)
}

/// The same for a refresh token.
pub(crate) fn parse_refresh(token: &str) -> Option<(String, TokenHash)> {
    parse(REFRESH, token)
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], MatrixError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system has no random bytes");
        MatrixError::Internal
    })?;
    Ok(bytes)
}

/// Random text for IDs that need not be secret for long.
pub(crate) fn random_id() -> Result<String, MatrixError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<16>()?))
}

fn parse(prefix: &str, token: &str) -> Option<(String, TokenHash)> {
    let rest = token.strip_prefix(prefix)?;
    let split = rest.len().checked_sub(RANDOM_LENGTH + 1)?;
    let localpart = rest.get(..split)?;
    if rest.as_bytes().get(split) != Some(&b'_') {
        return None;
    }
    let localpart = String::from_utf8(URL_SAFE_NO_PAD.decode(localpart).ok()?).ok()?;
    Some((localpart, hash(token)))
}

fn hash(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

const ACCESS: &str = "ff_";
const REFRESH: &str = "ffr_";

/// 32 bytes in base64.
const RANDOM_LENGTH: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_user() {
        for localpart in ["alice", "", "a_b-c=/+.", "ä"] {
            let token = Token::access(localpart).unwrap();
            let (parsed, hash) = parse_access(token.expose()).unwrap();
            assert_eq!((parsed.as_str(), hash), (localpart, token.hash()));
            assert!(parse_refresh(token.expose()).is_none());
        }
    }

    #[test]
    fn refuses_what_is_no_token() {
        for token in [
            "",
            "ff_",
            "ff__",
            "bearer",
            "ff_ä_",
            &"ff_é".repeat(40),
            &"x".repeat(80),
        ] {
            assert!(parse_access(token).is_none(), "{token}");
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(
            format!("{:?}", Token::access("alice").unwrap()),
            "Token(..)"
        );
    }
}
