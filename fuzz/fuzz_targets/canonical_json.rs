//! libFuzzer drives [`fourfold_fuzz::canonical_json`].

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fourfold_fuzz::canonical_json(input));
