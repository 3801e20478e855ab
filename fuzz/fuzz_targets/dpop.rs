//! Any text is refused as a proof and as a key, or its key reads the same from its own encoding.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tenantry::{auth::authn::dpop::Proof, base::public_key::PublicKey, enrollment::key_proof};

fuzz_target!(|text: &str| {
    let _ = Proof::read(text);
    if let Ok(key) = PublicKey::from_jwk_text(text) {
        assert_eq!(PublicKey::from_spki(key.spki()).as_ref(), Ok(&key));
        let _ = key_proof::read(text, text, None, text);
    }
    // A key, and what follows it as a proof by it.
    if let Some((key, proof)) = text.split_once('\n') {
        let _ = key_proof::read(key, proof, Some("nonce"), "token");
    }
});
