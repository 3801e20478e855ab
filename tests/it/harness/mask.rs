//! Replaces ids, secrets, cursors and times in responses, so that they are the same in every run.

use std::{collections::BTreeSet, sync::LazyLock};

use prost_reflect::{FieldDescriptor, ReflectMessage as _};

use super::grpc;

/// Prefixes of ids on the zero-trust surface.
const IDS: [&str; 13] =
    ["ten_", "usr_", "grp_", "key_", "pool_", "tok_", "dev_", "gw_", "pol_", "sgn_", "rot_", "ses_", "grt_"];
/// Members that are not secret but differ between runs. The digest of a policy depends on the ids in it.
const VARYING: [&str; 6] = ["prefix", "next_cursor", "request_id", "requestId", "serial", "digest"];
/// Members with the id of a signing key, which is 32 hex digits.
const KEY_IDS: [&str; 5] = ["key_id", "old_key_id", "new_key_id", "old_id", "new_id"];
/// The member after the id of a key in a signer.
const PUBLIC_KEY: &str = r#"","public_key":""#;
/// The beginning of the texts about invalid fields.
const FIELDS: &str = r#""fields":{"#;
/// Length of an id after its prefix.
const ULID: usize = 26;

/// Names each id in the order of first appearance, and remembers it.
#[derive(Default)]
pub struct Mask {
    ids: Vec<(String, String)>,
}

impl Mask {
    /// Replaces ids, times, secrets, cursors and request ids by names.
    pub fn hide(&mut self, text: &str) -> String {
        let mut hidden = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let (shown, length) = self.token(rest).unwrap_or_else(|| (next.to_string(), next.len_utf8()));
            hidden.push_str(&shown);
            rest = &rest[length..];
        }
        hidden
    }

    /// Replaces names by their ids.
    pub fn reveal(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name.as_str(), id))
    }

    /// The replacement for the beginning of a text, and the length that it replaces.
    fn token(&mut self, text: &str) -> Option<(String, usize)> {
        if let Some(prefix) = IDS.iter().find(|prefix| text.starts_with(**prefix)) {
            let id = text.get(..prefix.len() + ULID)?;
            let plain = id[prefix.len()..].bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
            return plain.then(|| (self.name(prefix, id), id.len()));
        }
        if text.starts_with("tak_") {
            let key = text.find('"').unwrap_or(text.len());
            return Some(("tak_<key>".to_owned(), key));
        }
        // What is wrong with the members of a request, by their names: a text about a password is not a password.
        if text.starts_with(FIELDS) {
            let end = text.find('}')?;
            return Some((text[..end].to_owned(), end));
        }
        for member in VARYING.into_iter().chain(secrets()) {
            let head = format!("\"{member}\":\"");
            // A key keeps its prefix.
            if let Some(value) = text.strip_prefix(&head).filter(|value| !value.starts_with("tak_")) {
                return Some((format!("{head}<...>"), head.len() + value.find('"')?));
            }
        }
        for member in KEY_IDS {
            let head = format!("\"{member}\":\"");
            let length = text.strip_prefix(&head).and_then(|value| value.find('"'));
            if let Some(length) = length.filter(|length| *length == 32) {
                let end = head.len() + length;
                let Some(key) = text[end..].strip_prefix(PUBLIC_KEY) else {
                    return Some((format!("{head}<...>"), end));
                };
                return Some((format!("{head}<...>{PUBLIC_KEY}<...>"), end + PUBLIC_KEY.len() + key.find('"')?));
            }
        }
        let time = time_at(text)?;
        Some(("<time>".to_owned(), time))
    }

    fn name(&mut self, prefix: &str, id: &str) -> String {
        if let Some((name, _)) = self.ids.iter().find(|(_, known)| known == id) {
            return name.clone();
        }
        let number = self.ids.iter().filter(|(_, known)| known.starts_with(prefix)).count() + 1;
        let name = format!("<{prefix}{number}>");
        self.ids.push((name.clone(), id.to_owned()));
        name
    }
}

/// The names of the secret members of responses (`BEHAVIOR_SECRET`), in the protos and in JSON.
pub fn secrets() -> impl Iterator<Item = &'static str> {
    static SECRETS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let pool = grpc::descriptors();
        let messages = pool.all_messages().filter(|message| !message.name().ends_with("Request"));
        let fields = messages.flat_map(|message| message.fields().filter(is_secret).collect::<Vec<_>>());
        fields.flat_map(|field| [field.name().to_owned(), field.json_name().to_owned()]).collect()
    });
    SECRETS.iter().map(String::as_str)
}

fn is_secret(field: &FieldDescriptor) -> bool {
    let rule = field.parent_pool().get_extension_by_name("tenantry.options.v1.field").unwrap();
    let rule = field.options().get_extension(&rule).as_message().unwrap().clone();
    let behaviors = rule.get_field_by_name("behavior").unwrap().as_list().unwrap().to_vec();
    let secret = rule.descriptor().get_field_by_name("behavior").unwrap().kind();
    let secret = secret.as_enum().unwrap().get_value_by_name("BEHAVIOR_SECRET").unwrap().number();
    behaviors.iter().any(|behavior| behavior.as_enum_number() == Some(secret))
}

/// The length of the time (RFC 3339, UTC) at the beginning of a text.
fn time_at(text: &str) -> Option<usize> {
    let head = text.get(..19)?;
    let form = "dddd-dd-ddTdd:dd:dd";
    let fits = head.bytes().zip(form.bytes()).all(|(b, f)| if f == b'd' { b.is_ascii_digit() } else { b == f });
    let end = text[19..].find('Z').filter(|end| text[19..19 + end].bytes().all(|b| b == b'.' || b.is_ascii_digit()))?;
    fits.then_some(19 + end + 1)
}

#[test]
fn ids_keys_and_times_are_hidden_and_ids_come_back() {
    let mut mask = Mask::default();
    let text = r#"{"id":"grp_01J7ST8Z0GFCQ9TCATDDY8V7GF","at":"2026-01-05T10:00:00.123456Z","api_key":"tak_a_b","prefix":"a"}"#;
    let hidden = mask.hide(text);
    assert_eq!(hidden, r#"{"id":"<grp_1>","at":"<time>","api_key":"tak_<key>","prefix":"<...>"}"#);
    assert_eq!(mask.reveal("<grp_1>"), "grp_01J7ST8Z0GFCQ9TCATDDY8V7GF");
    assert_eq!(mask.hide("grp_nowhere ä"), "grp_nowhere ä");
}
