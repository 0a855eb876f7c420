//! libFuzzer drives [`fourfold_fuzz::qr_login_code`].

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| fourfold_fuzz::qr_login_code(input));
