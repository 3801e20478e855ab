//! Any bytes are refused as a signing request, or have a key that reads the same from its own encoding.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tenantry::{base::public_key::PublicKey, enrollment::csr};

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = str::from_utf8(data) {
        let _ = csr::read(text);
    }
    let _ = PublicKey::from_spki(data);
    if let Ok(key) = csr::read_der(data) {
        assert_eq!(PublicKey::from_spki(key.spki()).as_ref(), Ok(&key));
    }
});
