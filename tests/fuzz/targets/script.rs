#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| chaos_fuzz::dump(bytes));
