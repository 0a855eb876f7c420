//! Making accounts.

use zeroize::Zeroizing;

use super::new_session::NewTokens;
use super::state::Auth;
use crate::http::error::MatrixError;
use crate::store::{NewAccount, UserId};

/// Makes an account; the name must have been checked.
pub(crate) async fn create(
    auth: &Auth,
    user: &UserId,
    password: Zeroizing<String>,
    tokens: Option<&NewTokens>,
) -> Result<(), MatrixError> {
    if password.is_empty() || password.len() > MAX_PASSWORD {
        return Err(MatrixError::WeakPassword);
    }
    let account = NewAccount {
        password_hash: auth.passwords.hash(password).await?,
        created_at: auth.clock.now(),
        session: tokens.map(|tokens| tokens.session.clone()),
    };
    Ok(auth.store.create_account(user, account).await?)
}

/// Beyond this a password is an attack on the hash function.
const MAX_PASSWORD: usize = 1024;
