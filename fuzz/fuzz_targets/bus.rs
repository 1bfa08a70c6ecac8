#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| trib_fuzz::bus::bus(input));
