//! The contents of `m.key.verification.*`.

use fourfold::Content;

use super::CancelCode;

pub(super) const SAS: &str = "m.sas.v1";
pub(super) const KEY_AGREEMENT: &str = "curve25519-hkdf-sha256";
pub(super) const HASH: &str = "sha256";
/// The second version: the first one, of 2019, has broken base64.
pub(super) const MAC: &str = "hkdf-hmac-sha256.v2";
pub(super) const EMOJI: &str = "emoji";
pub(super) const DECIMAL: &str = "decimal";

/// A content that belongs to a verification.
pub(super) fn about(transaction_id: &str) -> Content {
    let mut content = Content::default();
    content.insert("transaction_id", transaction_id);
    content
}

pub(super) fn request(transaction_id: &str, from_device: &str, timestamp: u64) -> Content {
    let mut content = ready(transaction_id, from_device);
    content.insert("timestamp", &timestamp);
    content
}

pub(super) fn ready(transaction_id: &str, from_device: &str) -> Content {
    let mut content = about(transaction_id);
    content.insert("from_device", from_device);
    content.insert("methods", &[SAS]);
    content
}

pub(super) fn start(transaction_id: &str, from_device: &str) -> Content {
    let mut content = about(transaction_id);
    content.insert("from_device", from_device);
    content.insert("method", SAS);
    content.insert("key_agreement_protocols", &[KEY_AGREEMENT]);
    content.insert("hashes", &[HASH]);
    content.insert("message_authentication_codes", &[MAC]);
    content.insert("short_authentication_string", &[EMOJI, DECIMAL]);
    content
}

/// Whether a start event offers what this side can do.
pub(super) fn check_start(start: &Content) -> Result<(), CancelCode> {
    if text(start, "method")? != SAS {
        return Err(CancelCode::UnknownMethod);
    }
    let offers = |member, wanted| match list(start, member) {
        Ok(offered) if offered.iter().any(|one| one == wanted) => Ok(()),
        Ok(_) => Err(CancelCode::UnknownMethod),
        Err(error) => Err(error),
    };
    offers("key_agreement_protocols", KEY_AGREEMENT)?;
    offers("hashes", HASH)?;
    offers("message_authentication_codes", MAC)?;
    offers("short_authentication_string", DECIMAL)
        .or_else(|_| offers("short_authentication_string", EMOJI))
}

pub(super) fn accept(transaction_id: &str, commitment: &str, start: &Content) -> Content {
    let offered = list(start, "short_authentication_string").unwrap_or_default();
    let both: Vec<_> = [EMOJI, DECIMAL]
        .into_iter()
        .filter(|method| offered.iter().any(|one| one == method))
        .collect();
    let mut content = about(transaction_id);
    content.insert("method", SAS);
    content.insert("key_agreement_protocol", KEY_AGREEMENT);
    content.insert("hash", HASH);
    content.insert("message_authentication_code", MAC);
    content.insert("short_authentication_string", &both);
    content.insert("commitment", commitment);
    content
}

/// The commitment of an accept event that chose what was offered.
pub(super) fn check_accept(accept: &Content) -> Result<String, CancelCode> {
    for (member, wanted) in [
        ("key_agreement_protocol", KEY_AGREEMENT),
        ("hash", HASH),
        ("message_authentication_code", MAC),
    ] {
        if text(accept, member)? != wanted {
            return Err(CancelCode::UnknownMethod);
        }
    }
    let shown = list(accept, "short_authentication_string")?;
    if !shown.iter().any(|one| one == EMOJI || one == DECIMAL) {
        return Err(CancelCode::UnknownMethod);
    }
    text(accept, "commitment")
}

pub(super) fn cancel(transaction_id: &str, code: &CancelCode) -> Content {
    let mut content = about(transaction_id);
    content.insert("code", code.code());
    content.insert("reason", &code.to_string());
    content
}

pub(super) fn text(content: &Content, member: &str) -> Result<String, CancelCode> {
    content
        .get(member)
        .and_then(Result::ok)
        .ok_or(CancelCode::InvalidMessage)
}

pub(super) fn list(content: &Content, member: &str) -> Result<Vec<String>, CancelCode> {
    content
        .get(member)
        .and_then(Result::ok)
        .ok_or(CancelCode::InvalidMessage)
}
