//! The public half of an identity, as it is uploaded.

use serde::{Deserialize, Serialize};

use crate::Content;

/// The three public keys as they are uploaded: the self-signing and the user-signing key signed by
/// the master key ([`POST /keys/device_signing/upload`][upload]).
///
/// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PublicKeys {
    pub(crate) master_key: Content,
    pub(crate) self_signing_key: Content,
    pub(crate) user_signing_key: Content,
}

impl PublicKeys {
    /// `{"user_id", "usage", "keys", "signatures"}` of the master key; signed once a device did.
    #[must_use]
    pub fn master_key(&self) -> &Content {
        &self.master_key
    }

    /// The same of the self-signing key, signed by the master key.
    #[must_use]
    pub fn self_signing_key(&self) -> &Content {
        &self.self_signing_key
    }

    /// The same of the user-signing key, signed by the master key.
    #[must_use]
    pub fn user_signing_key(&self) -> &Content {
        &self.user_signing_key
    }

    /// The body of the answer that a server gives to `POST /keys/query` after the upload, as far as
    /// it is about these keys. So what is uploaded can be judged before it is.
    #[must_use]
    pub fn as_keys_query(&self, user_id: &str) -> String {
        let mut body = Content::default();
        for (member, key) in [
            ("master_keys", &self.master_key),
            ("self_signing_keys", &self.self_signing_key),
            ("user_signing_keys", &self.user_signing_key),
        ] {
            let mut of_users = Content::default();
            of_users.insert(user_id, key);
            body.insert(member, &of_users);
        }
        body.to_json()
    }
}
