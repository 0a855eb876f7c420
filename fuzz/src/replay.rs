//! Drives a target without a fuzzer: over its corpus, and over mutations of it.
//!
//! The mutations come from a seeded generator, so that a run on any machine tries the same inputs.
//! `FOURFOLD_FUZZ_MUTATIONS` sets their number; a failure prints the input, which belongs in corpus/.

use std::path::Path;
use std::{env, fs, panic};

/// The number of mutations that a run tries by default.
const MUTATIONS: u32 = 4_000;

/// Input never grows beyond this.
const MOST_BYTES: usize = 65_536;

/// Pieces that parsers trip over.
const PIECES: &[&str] = &[
    "\"",
    "\\u0000",
    "\\ud800",
    "\u{0}",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "null",
    "true",
    "-0",
    "1e400",
    "9007199254740993",
    "18446744073709551616",
    "=",
    "==",
    "-_",
    " ",
    "\u{a0}",
    "\u{feff}",
    "0",
    "é",
    "{\"a\":1,\"a\":2}",
    "[[[[[[[[[[[[[[[[",
];

/// Runs a target over everything.
pub fn replay(name: &str, target: fn(&[u8])) {
    let seeds = corpus(name);
    for seed in &seeds {
        attempt(name, target, seed);
    }
    let mutations = env::var("FOURFOLD_FUZZ_MUTATIONS").map_or(MUTATIONS, |count| {
        count.parse().expect("a number of mutations")
    });
    let mut generator = Generator::new(name);
    for _ in 0..mutations {
        let mut input = generator.choose(&seeds).clone();
        for _ in 0..=generator.below(4) {
            generator.mutate(&mut input, &seeds);
        }
        input.truncate(MOST_BYTES);
        attempt(name, target, &input);
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(name);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("a corpus")
        .map(|entry| entry.expect("an entry of the corpus").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
        .into_iter()
        .map(|file| fs::read(file).expect("a file of the corpus"))
        .collect()
}

fn attempt(name: &str, target: fn(&[u8]), input: &[u8]) {
    if panic::catch_unwind(|| target(input)).is_err() {
        panic!("{name} fails on \"{}\"", input.escape_ascii());
    }
}

/// SplitMix64: small, and the same on every machine.
struct Generator(u64);

impl Generator {
    fn new(seed: &str) -> Self {
        Self(
            seed.bytes()
                .fold(0, |state, byte| state << 5 ^ state >> 59 ^ u64::from(byte)),
        )
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number from 0 up to but not including `end`, or 0.
    fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).expect("a length");
        usize::try_from(self.next() % end).expect("below a length")
    }

    fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn mutate(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(input.len());
        let to = at + self.below(input.len() - at + 1).min(input.len() - at);
        match self.below(7) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = self.next().to_le_bytes()[0],
            2 => drop(input.drain(at..to)),
            3 => input.truncate(at),
            4 if input.len() < MOST_BYTES => {
                let piece = input[at..to].to_vec();
                let times = 1 + self.below(8);
                input.splice(to..to, piece.repeat(times));
            }
            5 => {
                let other = self.choose(seeds);
                let from = self.below(other.len());
                input.splice(at..to, other[from..].iter().copied());
            }
            _ => {
                let piece = self.choose(PIECES).bytes();
                input.splice(at..to.min(at + 4), piece);
            }
        }
    }
}
