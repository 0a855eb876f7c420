//! Names of users: which there can be here, and how a person types them.

use crate::http::error::MatrixError;
use crate::store::UserId;

/// The user names of one server.
pub(crate) struct Names {
    server_name: String,
}

impl Names {
    pub(crate) fn of(server_name: &str) -> Self {
        Self {
            server_name: server_name.to_owned(),
        }
    }

    /// The name of the server.
    pub(crate) fn server(&self) -> &str {
        &self.server_name
    }

    /// Refuses local parts that the specification does not allow, and IDs beyond 255 bytes.
    pub(crate) fn check(&self, localpart: &str) -> Result<(), MatrixError> {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte)
        };
        let length = localpart.len() + self.server_name.len() + 2;
        let is_long = length > MAX_USER_ID;
        if localpart.is_empty() || is_long || !localpart.bytes().all(allowed) {
            return Err(MatrixError::InvalidUsername);
        }
        Ok(())
    }

    /// The full ID of a local user whose name was checked.
    pub(crate) fn user_id(&self, localpart: &str) -> UserId {
        UserId::new(format!("@{localpart}:{}", self.server_name))
    }

    /// The local part of one of our user IDs.
    pub(crate) fn localpart<'a>(&self, user: &'a UserId) -> &'a str {
        let text = user.as_str();
        let end = text.len().saturating_sub(self.server_name.len() + 1);
        text.get(1..end).unwrap_or_default()
    }

    /// Whether a user ID is one of this server, whether or not that user exists.
    pub(crate) fn is_local(&self, user: &UserId) -> bool {
        let server = user.as_str().split_once(':').map(|(_, server)| server);
        server == Some(self.server_name.as_str())
    }

    /// The ID of whoever may have an account here; `None` when nobody can have that name.
    pub(crate) fn possible_user_id(&self, localpart: &str) -> Option<UserId> {
        self.check(localpart).ok()?;
        Some(self.user_id(localpart))
    }

    /// The ID that a person typed, full or only its local part; `None` for another server's, and when
    /// nobody can have that name.
    pub(crate) fn typed_user_id(&self, typed: &str) -> Option<UserId> {
        let Some(rest) = typed.strip_prefix('@') else {
            return self.possible_user_id(typed);
        };
        let (localpart, server_name) = rest.split_once(':')?;
        if server_name != self.server_name {
            return None;
        }
        self.possible_user_id(localpart)
    }
}

const MAX_USER_ID: usize = 255;
