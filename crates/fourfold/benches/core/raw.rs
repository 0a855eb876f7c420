//! The same work with the primitives alone: no checks and no types. Plaintexts and keys are wiped.

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand_core::Rng;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

#[derive(Deserialize, Serialize)]
struct Entry {
    ciphertext: String,
    iv: String,
    mac: String,
}

#[derive(Deserialize)]
struct KeyCheck {
    iv: String,
    mac: String,
}

fn derive(key: &[u8; 32], info: &str) -> Zeroizing<[[u8; 32]; 2]> {
    let mut keys = Zeroizing::new([[0; 32]; 2]);
    Hkdf::<Sha256>::new(Some(&[0; 32]), key)
        .expand(info.as_bytes(), keys.as_flattened_mut())
        .unwrap();
    keys
}

fn apply_keystream(key: &[u8; 32], iv: &[u8; 16], bytes: &mut [u8]) {
    Ctr128BE::<Aes256>::new(key.into(), iv.into()).apply_keystream(bytes);
}

fn hmac(key: &[u8; 32], bytes: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key)
        .unwrap()
        .chain_update(bytes)
}

pub(crate) fn seal(key: &[u8; 32], name: &str, secret: &str, rng: &mut impl Rng) -> String {
    let keys = derive(key, name);
    let [aes, mac] = &*keys;
    let mut iv = [0; 16];
    rng.fill_bytes(&mut iv);
    let mut ciphertext = secret.as_bytes().to_vec();
    apply_keystream(aes, &iv, &mut ciphertext);
    let mac = hmac(mac, &ciphertext).finalize().into_bytes();
    let entry = Entry {
        ciphertext: BASE64.encode(ciphertext),
        iv: BASE64.encode(iv),
        mac: BASE64.encode(mac),
    };
    serde_json::to_string(&entry).unwrap()
}

pub(crate) fn open(key: &[u8; 32], name: &str, json: &str) -> Zeroizing<String> {
    let entry: Entry = serde_json::from_str(json).unwrap();
    let mut bytes = BASE64.decode(entry.ciphertext).unwrap();
    let iv = BASE64.decode(entry.iv).unwrap().try_into().unwrap();
    let keys = derive(key, name);
    let [aes, mac] = &*keys;
    let expected = BASE64.decode(entry.mac).unwrap();
    hmac(mac, &bytes).verify_slice(&expected).unwrap();
    apply_keystream(aes, &iv, &mut bytes);
    Zeroizing::new(String::from_utf8(bytes).unwrap())
}

pub(crate) fn check(key: &[u8; 32], json: &str) -> bool {
    let check: KeyCheck = serde_json::from_str(json).unwrap();
    let iv = BASE64.decode(check.iv).unwrap().try_into().unwrap();
    let expected = BASE64.decode(check.mac).unwrap();
    let keys = derive(key, "");
    let [aes, mac] = &*keys;
    let mut zeros = [0; 32];
    apply_keystream(aes, &iv, &mut zeros);
    hmac(mac, &zeros).verify_slice(&expected).is_ok()
}

pub(crate) fn encode_recovery_key(key: &[u8; 32]) -> String {
    let mut bytes = vec![0x8B, 0x01];
    bytes.extend(key);
    bytes.push(bytes.iter().fold(0, |parity, byte| parity ^ byte));
    let digits = bs58::encode(bytes).into_string();
    let groups: Vec<_> = digits
        .as_bytes()
        .chunks(4)
        .map(|group| str::from_utf8(group).unwrap())
        .collect();
    groups.join(" ")
}

pub(crate) fn decode_recovery_key(text: &str) -> [u8; 32] {
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = bs58::decode(digits).into_vec().unwrap();
    assert_eq!(bytes.iter().fold(0, |parity, byte| parity ^ byte), 0);
    bytes.get(2..34).unwrap().try_into().unwrap()
}
