//! The core beside the raw primitives, in instructions: the same on a busy machine.
//!
//! `cargo bench -p fourfold --bench instructions`, with valgrind installed. The program runs itself
//! under `valgrind --tool=callgrind`, each operation for a few rounds and for more; the difference,
//! divided by the rounds, is what one round takes.
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program for developers, which starts itself"
)]

#[path = "../core/raw.rs"]
mod raw;

use std::env;
use std::hint::black_box;
use std::process::Command;

use fourfold::{
    AccountData, Content, KeyDescription, KeyId, NewKey, Secret, SecretName, SecretStorage,
    SecretStorageKey, recovery_key,
};

/// One operation, done by us and by the primitives alone. Nothing is beside some.
type Sides = [Option<Box<dyn Fn()>>; 2];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", name, side, rounds] => run(name, side.parse().unwrap(), rounds.parse().unwrap()),
        _ => table(),
    }
}

fn table() {
    println!("{:24} {:>12} {:>12} {:>7}", "", "fourfold", "raw", "ratio");
    for (name, sides) in OPERATIONS {
        let ours = count(name, 0);
        let [_, raw] = sides();
        let (raw, ratio) = raw.map_or_else(Default::default, |_| {
            let raw = count(name, 1);
            (raw.to_string(), format!("{:.3}", ours as f64 / raw as f64))
        });
        println!("{name:24} {ours:>12} {raw:>12} {ratio:>7}");
    }
}

/// What one round takes.
fn count(name: &str, side: usize) -> u64 {
    let [few, more] = if name.ends_with("524288") {
        [2, 6]
    } else {
        [50, 250]
    };
    let instructions = |rounds: u64| -> u64 {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(env::current_exe().unwrap())
            .args(["run", name, &side.to_string(), &rounds.to_string()])
            .output()
            .expect("valgrind can be started");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let collected = text.rsplit("Collected : ").next().unwrap();
        let number = collected.split_whitespace().next().unwrap();
        number.parse().unwrap_or_else(|_| panic!("{text}"))
    };
    (instructions(more) - instructions(few)) / (more - few)
}

fn run(name: &str, side: usize, rounds: u64) {
    let (_, sides) = OPERATIONS.iter().find(|one| one.0 == name).unwrap();
    let operation = sides().into_iter().nth(side).unwrap().unwrap();
    for _ in 0..rounds {
        operation();
    }
}

type Operation = (&'static str, fn() -> Sides);

/// What is measured, by name. Made when it is its turn: whatever is made costs instructions, too.
const OPERATIONS: [Operation; 13] = [
    ("seal/43", || sealing(43)),
    ("open/43", || opening(43)),
    ("from_account_data/43", || reading(43)),
    ("seal/4096", || sealing(4096)),
    ("open/4096", || opening(4096)),
    ("from_account_data/4096", || reading(4096)),
    ("seal/524288", || sealing(524_288)),
    ("open/524288", || opening(524_288)),
    ("from_account_data/524288", || reading(524_288)),
    ("key_check", checking),
    ("unlock", unlocking),
    ("recovery_key/encode", encoding),
    ("recovery_key/decode", decoding),
];

fn sealing(size: usize) -> Sides {
    let (new, name) = (new_key(), SecretName::master_key());
    let bytes = bytes_of(&new);
    let (text, secret) = ("x".repeat(size), Secret::new("x".repeat(size)));
    let of_name = name.clone();
    both(
        move || {
            let entry = new.key().seal(&name, black_box(&secret), &mut rng());
            black_box(entry.unwrap().to_json());
        },
        move || {
            black_box(raw::seal(
                &bytes,
                of_name.as_str(),
                black_box(&text),
                &mut rng(),
            ));
        },
    )
}

fn opening(size: usize) -> Sides {
    let (new, name) = (new_key(), SecretName::master_key());
    let (json, bytes) = (entry(&new, &name, size), bytes_of(&new));
    let (of_name, of_json) = (name.clone(), json.clone());
    both(
        move || {
            let entry = Content::from_json(black_box(&json)).unwrap();
            let _ = black_box(new.key().key().open(&name, &entry).unwrap());
        },
        move || {
            black_box(raw::open(&bytes, of_name.as_str(), black_box(&of_json)));
        },
    )
}

/// The whole way, from a snapshot of the account.
fn reading(size: usize) -> Sides {
    let (new, name) = (new_key(), SecretName::master_key());
    let json = entry(&new, &name, size);
    let mut data = AccountData::default();
    let json = format!(r#"{{"encrypted":{{"{}":{json}}}}}"#, new.key().id());
    data.insert_json(name.as_str(), json).unwrap();
    let ours = move || {
        let storage = SecretStorage::new(black_box(&data));
        let _ = black_box(storage.open(&name, new.key().key()).unwrap());
    };
    [Some(Box::new(ours)), None]
}

fn checking() -> Sides {
    let new = new_key();
    let (json, bytes) = (new.description().content().to_json(), bytes_of(&new));
    let of_json = json.clone();
    both(
        move || {
            let content = Content::from_json(black_box(&json)).unwrap();
            let description = KeyDescription::new(new.key().id().clone(), content).unwrap();
            let _ = black_box(description.check(new.key().key()).unwrap());
        },
        move || assert!(raw::check(&bytes, black_box(&of_json))),
    )
}

/// From what the user typed and what the server has to a key that is checked.
fn unlocking() -> Sides {
    let new = new_key();
    let text = new.key().key().expose_recovery_key();
    let json = new.description().content().to_json();
    let (of_text, of_json) = (text.clone(), json.clone());
    both(
        move || {
            let content = Content::from_json(black_box(&json)).unwrap();
            let id = KeyId::new(new.key().id().as_str()).unwrap();
            let description = KeyDescription::new(id, content).unwrap();
            let key = SecretStorageKey::from_recovery_key(&description, black_box(&text)).unwrap();
            let _ = black_box(description.check(&key).unwrap());
        },
        move || {
            let key = raw::decode_recovery_key(black_box(&of_text));
            assert!(raw::check(&key, black_box(&of_json)));
        },
    )
}

fn encoding() -> Sides {
    let key = [7; 32];
    both(
        move || {
            black_box(recovery_key::encode(black_box(&key)));
        },
        move || {
            black_box(raw::encode_recovery_key(black_box(&key)));
        },
    )
}

fn decoding() -> Sides {
    let text = recovery_key::encode(&[7; 32]);
    let of_text = text.clone();
    both(
        move || {
            black_box(recovery_key::decode(black_box(&text)).unwrap());
        },
        move || {
            black_box(raw::decode_recovery_key(black_box(&of_text)));
        },
    )
}

fn both(ours: impl Fn() + 'static, raw: impl Fn() + 'static) -> Sides {
    [Some(Box::new(ours)), Some(Box::new(raw))]
}

fn rng() -> rand_core::UnwrapErr<getrandom::SysRng> {
    rand_core::UnwrapErr(getrandom::SysRng)
}

fn new_key() -> NewKey {
    NewKey::random(None, &mut rng())
}

fn bytes_of(new: &NewKey) -> [u8; 32] {
    *recovery_key::decode(&new.key().key().expose_recovery_key()).unwrap()
}

fn entry(new: &NewKey, name: &SecretName, size: usize) -> String {
    let secret = Secret::new("x".repeat(size));
    new.key().seal(name, &secret, &mut rng()).unwrap().to_json()
}
