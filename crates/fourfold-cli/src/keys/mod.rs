//! Keys and passphrases that are made here, and where they are kept or handed over.

pub(crate) mod emergency_kit;
pub(crate) mod login_password;
pub(crate) mod new_key;
pub(crate) mod new_passphrase;
pub(crate) mod random;
pub(crate) mod sealing_key;
