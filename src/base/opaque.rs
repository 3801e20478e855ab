//! Opaque credentials: `<begin><prefix>_<secret>`, such as API keys and enrollment tokens. The prefix identifies a credential for people, and
//! those of some surfaces have none; only the digest of the whole text is stored.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Secret, digest::sha256_hex};

/// Length of the public part, in characters.
const PREFIX: usize = 8;
/// Length of the secret part, in characters: 32 bytes.
const SECRET: usize = 43;

/// Generates a credential: its public part, and the whole text.
pub fn generate(begin: &str) -> (String, Secret<String>) {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let prefix: String = rand::random::<[u8; PREFIX]>().map(|b| ALPHABET[usize::from(b & 31)] as char).iter().collect();
    let text = secret(&format!("{begin}{prefix}_"));
    (prefix, text)
}

/// Generates a credential without a public part.
pub fn secret(begin: &str) -> Secret<String> {
    Secret::new(format!("{begin}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())))
}

/// Whether a text has the form of a credential.
pub fn is_formed(begin: &str, text: &str) -> bool {
    let word = |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_alphanumeric());
    let secret =
        |part: &str| part.len() == SECRET && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let parts = text.strip_prefix(begin).and_then(|rest| rest.split_once('_'));
    parts.is_some_and(|(prefix, rest)| word(prefix, PREFIX) && secret(rest))
}

/// The digest under which a credential is stored.
pub fn digest(text: &str) -> String {
    sha256_hex([text.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_have_one_form() {
        let (prefix, text) = generate("tak_");
        let text = text.expose();
        assert!(is_formed("tak_", text) && text.starts_with(&format!("tak_{prefix}_")), "{text}");
        assert_ne!(generate("tak_").1.expose(), text);
        for bad in ["", "tak_", &text[..text.len() - 1], &format!("{text}A"), &text.replace("tak_", "tek_"), "tak_a b"]
        {
            assert!(!is_formed("tak_", bad), "{bad}");
        }
    }
}
