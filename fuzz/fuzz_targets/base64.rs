//! libFuzzer drives [`fourfold_fuzz::base64`].

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fourfold_fuzz::base64(input));
