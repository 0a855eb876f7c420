//! libFuzzer drives [`fourfold_fuzz::health`].

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fourfold_fuzz::health(input));
