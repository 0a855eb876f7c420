//! libFuzzer drives [`fourfold_fuzz::recovery_key`].

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fourfold_fuzz::recovery_key(input));
