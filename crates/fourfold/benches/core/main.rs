//! The core beside the raw primitives, doing the same work in the same run.
//!
//! `cargo bench -p fourfold --bench core`. The comparison with another implementation has its own
//! package, benches/fourfold-bench, because that one is heavy.
#![expect(clippy::unwrap_used, reason = "benchmarks")]

mod raw;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use fourfold::passphrase::{Bounds, Passphrase};
use fourfold::{
    AccountData, Content, KeyDescription, KeyId, NewKey, Secret, SecretName, SecretStorage,
    SecretStorageKey, recovery_key,
};

/// A cross-signing seed, a small file, and more than any homeserver stores.
const SIZES: [usize; 3] = [43, 4 * 1024, 512 * 1024];

const KEY: [u8; 32] = [7; 32];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    sealing(&mut criterion);
    opening(&mut criterion);
    key_check(&mut criterion);
    recovery_keys(&mut criterion);
    passphrases(&mut criterion);
    criterion.final_summary();
}

fn rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn name() -> SecretName {
    SecretName::master_key()
}

/// From a secret to the JSON text of its entry.
fn sealing(criterion: &mut Criterion) {
    let new = NewKey::random(None, &mut rng());
    let name = name();
    let mut group = criterion.benchmark_group("seal");
    for size in SIZES {
        let secret = Secret::new("x".repeat(size));
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("fourfold", size), |bencher| {
            bencher.iter(|| {
                let entry = new.key().seal(&name, black_box(&secret), &mut rng());
                entry.unwrap().to_json()
            });
        });
        group.bench_function(BenchmarkId::new("raw", size), |bencher| {
            bencher.iter(|| {
                raw::seal(
                    &KEY,
                    name.as_str(),
                    black_box(&secret).expose_secret(),
                    &mut rng(),
                )
            });
        });
    }
}

/// From the JSON text of an entry to the secret.
fn opening(criterion: &mut Criterion) {
    let new = NewKey::random(None, &mut rng());
    let key = new.key().key();
    let bytes = recovery_key::decode(&key.expose_recovery_key()).unwrap();
    let name = name();
    let mut group = criterion.benchmark_group("open");
    for size in SIZES {
        let secret = Secret::new("x".repeat(size));
        let entry = new.key().seal(&name, &secret, &mut rng()).unwrap();
        let json = entry.to_json();
        assert_eq!(
            *raw::open(&bytes, name.as_str(), &json),
            secret.expose_secret()
        );
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("fourfold", size), |bencher| {
            bencher.iter(|| {
                let entry = Content::from_json(black_box(&json)).unwrap();
                key.open(&name, &entry).unwrap()
            });
        });
        group.bench_function(BenchmarkId::new("raw", size), |bencher| {
            bencher.iter(|| raw::open(&bytes, name.as_str(), black_box(&json)));
        });
        let mut data = AccountData::default();
        let json = format!(r#"{{"encrypted":{{"{}":{json}}}}}"#, key.id());
        data.insert_json(name.as_str(), json).unwrap();
        group.bench_function(BenchmarkId::new("from_account_data", size), |bencher| {
            bencher.iter(|| SecretStorage::new(&data).open(&name, key).unwrap());
        });
    }
}

fn key_check(criterion: &mut Criterion) {
    let new = NewKey::random(None, &mut rng());
    let key = new.key().key();
    let bytes = recovery_key::decode(&key.expose_recovery_key()).unwrap();
    let json = new.description().content().to_json();
    assert!(raw::check(&bytes, &json));
    let mut group = criterion.benchmark_group("key_check");
    group.bench_function("fourfold", |bencher| {
        bencher.iter(|| {
            let content = Content::from_json(black_box(&json)).unwrap();
            let description = KeyDescription::new(key.id().clone(), content).unwrap();
            description.check(key).unwrap()
        });
    });
    group.bench_function("raw", |bencher| {
        bencher.iter(|| raw::check(&bytes, black_box(&json)));
    });
}

fn recovery_keys(criterion: &mut Criterion) {
    let text = recovery_key::encode(&KEY);
    assert_eq!(raw::decode_recovery_key(&text), KEY);
    assert_eq!(raw::encode_recovery_key(&KEY), *text);
    let mut group = criterion.benchmark_group("recovery_key");
    group.bench_function("encode/fourfold", |bencher| {
        bencher.iter(|| recovery_key::encode(black_box(&KEY)));
    });
    group.bench_function("encode/raw", |bencher| {
        bencher.iter(|| raw::encode_recovery_key(black_box(&KEY)));
    });
    group.bench_function("decode/fourfold", |bencher| {
        bencher.iter(|| recovery_key::decode(black_box(&text)).unwrap());
    });
    group.bench_function("decode/raw", |bencher| {
        bencher.iter(|| raw::decode_recovery_key(black_box(&text)));
    });
}

/// 10,000 iterations: a fiftieth of what a new key takes.
fn passphrases(criterion: &mut Criterion) {
    let json = r#"{"algorithm":"m.secret_storage.v1.aes-hmac-sha2","passphrase":
        {"algorithm":"m.pbkdf2","iterations":10000,"salt":"saltsaltsalt"}}"#;
    let content = Content::from_json(json).unwrap();
    let description = KeyDescription::new(KeyId::new("abc").unwrap(), content).unwrap();
    let passphrase = Passphrase::new("wombat plumage tariff hubcap");
    let mut group = criterion.benchmark_group("pbkdf2_10000");
    group.sample_size(20);
    group.bench_function("fourfold", |bencher| {
        bencher.iter(|| {
            let budget = &mut Bounds::allow_weak().budget();
            SecretStorageKey::from_passphrase(&description, black_box(&passphrase), budget).unwrap()
        });
    });
    group.bench_function("raw", |bencher| {
        bencher.iter(|| {
            let mut key = [0; 32];
            let passphrase = black_box(b"wombat plumage tariff hubcap");
            pbkdf2::pbkdf2_hmac::<sha2::Sha512>(passphrase, b"saltsaltsalt", 10_000, &mut key);
            key
        });
    });
}
