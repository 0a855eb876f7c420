//! What is published of an identity.

use serde::{Deserialize, Serialize};

use crate::{
    Content,
    cross_signing::CrossSigningKeys,
    signed_json::{SignatureError, SigningKey},
};

/// The three public keys as they are uploaded: the self-signing and the user-signing key signed by
/// the master key ([`POST /keys/device_signing/upload`][upload]).
///
/// [upload]: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PublicKeys {
    master_key: Content,
    self_signing_key: Content,
    user_signing_key: Content,
}

impl PublicKeys {
    pub(super) fn of(keys: &CrossSigningKeys, user_id: &str) -> Result<Self, SignatureError> {
        let signed = |key, usage| -> Result<_, SignatureError> {
            let mut object = public_key(key, user_id, usage);
            keys.master_key().sign(&mut object, user_id)?;
            Ok(object)
        };
        Ok(Self {
            master_key: public_key(keys.master_key(), user_id, "master"),
            self_signing_key: signed(keys.self_signing_key(), "self_signing")?,
            user_signing_key: signed(keys.user_signing_key(), "user_signing")?,
        })
    }

    /// Lets a device sign the master key, by which the user's other devices of old know it. `sign`
    /// adds the signature of the device, as [`signed_json::sign_with`] does.
    ///
    /// # Errors
    ///
    /// What `sign` gives.
    ///
    /// [`signed_json::sign_with`]: crate::signed_json::sign_with
    pub fn sign_master_key<E>(
        &mut self,
        sign: impl FnOnce(&mut Content) -> Result<(), E>,
    ) -> Result<(), E> {
        sign(&mut self.master_key)
    }

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

fn public_key(key: &SigningKey, user_id: &str, usage: &str) -> Content {
    let public = key.public_key();
    let mut keys = Content::default();
    keys.insert(public.key_id(), &public.to_base64());
    let mut object = Content::default();
    object.insert("keys", &keys);
    object.insert("usage", &[usage]);
    object.insert("user_id", user_id);
    object
}
