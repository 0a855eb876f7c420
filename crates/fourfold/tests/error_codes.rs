//! Codes of errors: each type has its own, and docs/error-codes.md lists them all.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "reads the sources and the document"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every type of error, with its codes.
const TYPES: &[(&str, &[&str])] = &[
    ("BackupVersionError", fourfold::BackupVersionError::CODES),
    ("ContentError", fourfold::ContentError::CODES),
    (
        "EncryptedSecretError",
        fourfold::EncryptedSecretError::CODES,
    ),
    ("KeyCheckError", fourfold::KeyCheckError::CODES),
    ("KeyDescriptionError", fourfold::KeyDescriptionError::CODES),
    ("KeyIdError", fourfold::KeyIdError::CODES),
    ("KeyInputError", fourfold::KeyInputError::CODES),
    ("SecretNameError", fourfold::SecretNameError::CODES),
    ("TrustError", fourfold::TrustError::CODES),
    ("WrongType", fourfold::WrongType::CODES),
    ("MemberProblem", fourfold::algorithm::MemberProblem::CODES),
    ("OpenEntryError", fourfold::algorithm::OpenEntryError::CODES),
    ("DecodeError", fourfold::base64::DecodeError::CODES),
    (
        "CanonicalJsonError",
        fourfold::canonical_json::CanonicalJsonError::CODES,
    ),
    (
        "IdentityAtRisk",
        fourfold::cross_signing::IdentityAtRisk::CODES,
    ),
    ("LearnError", fourfold::cross_signing::LearnError::CODES),
    ("NotConfirmed", fourfold::cross_signing::NotConfirmed::CODES),
    (
        "SignDeviceError",
        fourfold::cross_signing::SignDeviceError::CODES,
    ),
    ("DraftError", fourfold::health::DraftError::CODES),
    ("Refused", fourfold::judged::Refused::CODES),
    ("Suspicious", fourfold::history::Suspicious::CODES),
    ("CannotAsk", fourfold::identity::CannotAsk::CODES),
    (
        "CrossSigningKeyError",
        fourfold::identity::CrossSigningKeyError::CODES,
    ),
    (
        "DeviceKeysError",
        fourfold::identity::DeviceKeysError::CODES,
    ),
    (
        "OtherIdentityPinned",
        fourfold::identity::OtherIdentityPinned::CODES,
    ),
    (
        "OwnDeviceMismatch",
        fourfold::identity::OwnDeviceMismatch::CODES,
    ),
    ("UserKeysError", fourfold::identity::UserKeysError::CODES),
    ("IsLoginPassword", fourfold::IsLoginPassword::CODES),
    (
        "ParametersError",
        fourfold::passphrase::ParametersError::CODES,
    ),
    ("AddCopyError", fourfold::plan::AddCopyError::CODES),
    ("AddKeyError", fourfold::plan::AddKeyError::CODES),
    ("BackupHidden", fourfold::plan::BackupHidden::CODES),
    ("BackupKeyError", fourfold::plan::BackupKeyError::CODES),
    (
        "DeleteKeyBackupError",
        fourfold::plan::DeleteKeyBackupError::CODES,
    ),
    ("RoomKeyError", fourfold::backup::RoomKeyError::CODES),
    ("BootstrapError", fourfold::plan::BootstrapError::CODES),
    (
        "ChangeDefaultError",
        fourfold::plan::ChangeDefaultError::CODES,
    ),
    ("CompleteError", fourfold::plan::CompleteError::CODES),
    ("DeleteError", fourfold::plan::DeleteError::CODES),
    ("ImportError", fourfold::plan::ImportError::CODES),
    ("NotDescribed", fourfold::plan::NotDescribed::CODES),
    ("RecoverError", fourfold::plan::RecoverError::CODES),
    ("RemoveKeyError", fourfold::plan::RemoveKeyError::CODES),
    ("SetUpError", fourfold::plan::SetUpError::CODES),
    (
        "SignKeyBackupError",
        fourfold::plan::SignKeyBackupError::CODES,
    ),
    ("DescribeError", fourfold::plan::DescribeError::CODES),
    ("StoreError", fourfold::plan::StoreError::CODES),
    ("TakeKeyAwayError", fourfold::plan::TakeKeyAwayError::CODES),
    ("TransferError", fourfold::plan::TransferError::CODES),
    ("QrCodeError", fourfold::qr_login::QrCodeError::CODES),
    (
        "RecoveryKeyError",
        fourfold::recovery_key::RecoveryKeyError::CODES,
    ),
    (
        "SecretValueError",
        fourfold::secret_kind::SecretValueError::CODES,
    ),
    ("RequestIdError", fourfold::sharing::RequestIdError::CODES),
    ("LeftOut", fourfold::cross_signing::LeftOut::CODES),
    ("UnusableKeys", fourfold::cross_signing::UnusableKeys::CODES),
    ("UnknownBackup", fourfold::plan::UnknownBackup::CODES),
    ("ShareRefusal", fourfold::sharing::ShareRefusal::CODES),
    (
        "SharingEventError",
        fourfold::sharing::SharingEventError::CODES,
    ),
    ("ForeignMember", fourfold::signable::ForeignMember::CODES),
    (
        "PublicKeyError",
        fourfold::signed_json::PublicKeyError::CODES,
    ),
    (
        "SignatureError",
        fourfold::signed_json::SignatureError::CODES,
    ),
    ("NoWritingKey", fourfold::storage::NoWritingKey::CODES),
    ("NotProven", fourfold::storage::NotProven::CODES),
    ("NotProvenReason", fourfold::storage::NotProvenReason::CODES),
    ("OpenError", fourfold::storage::OpenError::CODES),
    ("ReadError", fourfold::storage::ReadError::CODES),
    ("UnlockError", fourfold::storage::UnlockError::CODES),
];

#[test]
fn a_code_has_one_meaning() {
    let mut seen = BTreeSet::new();
    for (name, codes) in TYPES {
        for code in *codes {
            assert!(seen.insert(code), "{name}: {code} is given twice");
            let is_snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(code.chars().all(is_snake), "{name}: {code}");
        }
    }
}

/// Programs rely on each of these: a code that is gone from the list is gone from a program, too.
#[test]
fn the_document_lists_every_code_and_no_other() {
    let document = fs::read_to_string(root().join("../../docs/error-codes.md")).unwrap();
    let listed: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(code, _)| code)
        .collect();
    let listed: BTreeSet<&str> = listed.into_iter().collect();
    assert_eq!(listed, given().collect());
}

fn given() -> impl Iterator<Item = &'static str> {
    TYPES.iter().flat_map(|(_, codes)| codes.iter().copied())
}

#[test]
fn every_type_of_error_has_codes() {
    let mut found = BTreeSet::new();
    for (path, text) in sources() {
        // Under this name alone, so that none goes by another.
        for other in ["use thiserror", "Error for "] {
            assert!(!text.contains(other), "{other}: {}", path.display());
        }
        for after in text.split("thiserror::Error").skip(1) {
            let declared = after.lines().find_map(declared);
            let name = declared.expect("a type stands after its attribute");
            found.insert(name.to_owned());
        }
    }
    let listed: BTreeSet<String> = TYPES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed);
}

#[test]
fn a_code_ends_as_its_case_is_called() {
    let mut compared = BTreeSet::new();
    for (path, text) in sources() {
        for line in text.lines() {
            let Some((pattern, code)) = line.split_once(" => \"") else {
                continue;
            };
            let Some(case) = pattern.trim().strip_prefix("Self::") else {
                continue;
            };
            let code = code.trim_end_matches("\",").trim_end_matches('"');
            let case = case.split(|c: char| !c.is_alphanumeric()).next().unwrap();
            if given().any(|given| given == code) {
                let ends_so = without_numbers_apart(code).ends_with(&snake_case(case));
                assert!(ends_so, "{code}: {}", path.display());
                compared.insert(code.to_owned());
            }
        }
    }
    assert!(compared.len() > 100, "{}", compared.len());
}

/// `Base64` and `Needs2019Profile` are `base64` and `needs_2019_profile`, so that a number is compared
/// without what stands before it.
fn without_numbers_apart(code: &str) -> String {
    let join = |code: String, digit: char| code.replace(&format!("_{digit}"), &digit.to_string());
    ('0'..='9').fold(code.to_owned(), join)
}

fn snake_case(case: &str) -> String {
    let mut snake = String::new();
    for c in case.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn sources() -> Vec<(PathBuf, String)> {
    let (mut sources, mut folders) = (Vec::new(), vec![root().join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    sources
}

/// The type that a line declares, of whatever visibility.
fn declared(line: &str) -> Option<&str> {
    let (before, after) = line
        .split_once("enum ")
        .or_else(|| line.split_once("struct "))?;
    let before = before.trim();
    let is_visibility = before.is_empty() || (before.starts_with("pub") && !before.contains(' '));
    let name = after.split(|c: char| !c.is_alphanumeric()).next()?;
    is_visibility.then_some(name)
}

#[test]
fn an_error_that_is_handed_on_keeps_its_code() {
    use fourfold::plan::StoreError;
    use fourfold::storage::{ReadError, UnlockError};
    use fourfold::{NotProvenReason, OpenError, recovery_key};
    let typed = recovery_key::decode("Es").unwrap_err();
    assert_eq!(typed.code(), "recovery_key_length");
    assert_eq!(UnlockError::from(typed).code(), typed.code());
    assert_eq!(
        UnlockError::NotProven(NotProvenReason::WeakDerivation).code(),
        "not_proven_weak_derivation"
    );
    assert_eq!(
        ReadError::from(OpenError::WrongKey).code(),
        "open_wrong_key"
    );
    assert_eq!(StoreError::NotASecret.code(), "store_not_a_secret");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
