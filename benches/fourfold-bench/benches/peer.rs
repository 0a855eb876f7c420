//! Sealing, opening and unlocking, beside matrix-sdk-crypto in the same run.
//!
//! `cargo bench --manifest-path benches/fourfold-bench/Cargo.toml`

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use fourfold::{Content, KeyDescription, KeyId, NewKey, Secret, SecretStorageKey, recovery_key};
use matrix_sdk_crypto::secret_storage::{AesHmacSha2EncryptedData, SecretStorageKey as PeerKey};
use ruma::events::EventContentFromType as _;
use ruma::events::secret::request::SecretName as PeerName;
use ruma::events::secret_storage::key::SecretStorageKeyEventContent;
use serde_json::value::RawValue;

const SIZES: [usize; 3] = [43, 4 * 1024, 512 * 1024];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    sealing(&mut criterion);
    opening(&mut criterion);
    unlocking(&mut criterion);
    recovery_keys(&mut criterion);
    criterion.final_summary();
}

fn name() -> fourfold::SecretName {
    fourfold::SecretName::master_key()
}

fn peer_name() -> PeerName {
    PeerName::CrossSigningMasterKey
}

/// Both keys, from the same bytes.
fn keys() -> (NewKey, PeerKey) {
    let new = NewKey::random(None, &mut rand::rng());
    let text = new.key().key().expose_recovery_key();
    let peer = peer_key(&new, &text);
    (new, peer)
}

/// From a secret to the JSON text of its entry.
fn sealing(criterion: &mut Criterion) {
    let ((new, peer), name) = (keys(), name());
    let mut group = criterion.benchmark_group("seal");
    for size in SIZES {
        let text = "x".repeat(size);
        let secret = Secret::new(text.as_str());
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("fourfold", size), |bencher| {
            bencher.iter(|| {
                let entry = new
                    .key()
                    .seal(&name, black_box(&secret), &mut rand::rng());
                entry.unwrap().to_json()
            });
        });
        group.bench_function(BenchmarkId::new("matrix_sdk_crypto", size), |bencher| {
            bencher.iter(|| {
                let entry = peer.encrypt(black_box(&text).clone().into_bytes(), &peer_name());
                serde_json::to_string(&entry).unwrap()
            });
        });
    }
}

/// From the JSON text of an entry to the secret.
fn opening(criterion: &mut Criterion) {
    let ((new, peer), name) = (keys(), name());
    let mut group = criterion.benchmark_group("open");
    for size in SIZES {
        let secret = Secret::new("x".repeat(size));
        let json = new
            .key()
            .seal(&name, &secret, &mut rand::rng())
            .unwrap()
            .to_json();
        let peer_opens = |json: &str| {
            let entry: AesHmacSha2EncryptedData = serde_json::from_str(json).unwrap();
            String::from_utf8(peer.decrypt(&entry, &peer_name()).unwrap()).unwrap()
        };
        assert_eq!(peer_opens(&json), secret.expose_secret());
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("fourfold", size), |bencher| {
            bencher.iter(|| {
                let entry = Content::from_json(black_box(&json)).unwrap();
                new.key().key().open(&name, &entry).unwrap()
            });
        });
        group.bench_function(BenchmarkId::new("matrix_sdk_crypto", size), |bencher| {
            bencher.iter(|| peer_opens(black_box(&json)));
        });
    }
}

/// From a recovery key and the JSON text of a description to a key that is checked.
fn unlocking(criterion: &mut Criterion) {
    let new = NewKey::random(None, &mut rand::rng());
    let text = new.key().key().expose_recovery_key();
    let json = new.description().content().to_json();
    let mut group = criterion.benchmark_group("unlock");
    group.bench_function("fourfold", |bencher| {
        bencher.iter(|| {
            let id = KeyId::new(new.key().id().as_str()).unwrap();
            let content = Content::from_json(black_box(&json)).unwrap();
            let description = KeyDescription::new(id, content).unwrap();
            let key = SecretStorageKey::from_recovery_key(&description, black_box(&text)).unwrap();
            let check = description.check(&key).unwrap();
            (key, check)
        });
    });
    group.bench_function("matrix_sdk_crypto", |bencher| {
        bencher.iter(|| peer_key(black_box(&new), black_box(&text)));
    });
}

fn peer_key(new: &NewKey, text: &str) -> PeerKey {
    let json = new.description().content().to_json();
    let content: Box<RawValue> = RawValue::from_string(json).unwrap();
    let event_type = new.description().id().event_type();
    let content = SecretStorageKeyEventContent::from_parts(&event_type, &content).unwrap();
    PeerKey::from_account_data(text, content).unwrap()
}

fn recovery_keys(criterion: &mut Criterion) {
    let (new, peer) = keys();
    let text = new.key().key().expose_recovery_key();
    assert_eq!(peer.to_base58(), *text);
    let bytes = recovery_key::decode(&text).unwrap();
    let mut group = criterion.benchmark_group("recovery_key");
    group.bench_function("encode/fourfold", |bencher| {
        bencher.iter(|| recovery_key::encode(black_box(&bytes)));
    });
    group.bench_function("encode/matrix_sdk_crypto", |bencher| {
        bencher.iter(|| black_box(&peer).to_base58());
    });
}
