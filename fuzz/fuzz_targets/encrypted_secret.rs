//! libFuzzer drives [`fourfold_fuzz::encrypted_secret`].

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fourfold_fuzz::encrypted_secret(input));
