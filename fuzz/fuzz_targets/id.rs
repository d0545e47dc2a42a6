#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| azimage_fuzz::run("id", data));
