//! Enrollment tokens and hosts over REST: every documented response and error text, as conversations, on both databases.

use reqwest::Method;

use super::rest::{
    Who::{self, Admin, Garbage, Nobody, Owner, Reader},
    client, servers,
};
use crate::harness::{
    conversation::Ids,
    golden,
    server::{Server, Setup},
};

/// A path without `=` is relative to `/api/control-plane`. `<1>` is the first id, `<sme_1>` the first enrollment token, `<smh_1>` the
/// first token of a host.
type Line = (Who, &'static str, &'static str, Option<&'static str>);

const OF_ACME: &str = "/tenants/acme/enrollment-tokens";
const REGISTER: &str = "=/api/host/register";

#[rustfmt::skip]
const TOKENS: &[Line] = &[
    (Admin, "POST", "/tenants", Some(r#"{"name":"Acme","slug":"acme"}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":"Beta","slug":"beta"}"#)),
    (Admin, "GET", OF_ACME, None),
    (Admin, "GET", "/tenants/missing/enrollment-tokens", None),
    // Create.
    (Admin, "POST", OF_ACME, Some("{}")),
    (Admin, "POST", "/tenants/<1>/enrollment-tokens", Some(r#"{"label":" laptops ","expires_in_days":30,"max_uses":5,"site_id":"ignored"}"#)),
    (Admin, "POST", "=/api/v1/control-plane/tenants/ACME/enrollment-tokens", Some(r#"{"label":null,"expires_in_days":null,"max_uses":1}"#)),
    (Admin, "POST", "/tenants/beta/enrollment-tokens", Some(r#"{"label":"'; DROP TABLE enrollment_tokens; --"}"#)),
    (Admin, "GET", OF_ACME, None),
    (Admin, "GET", "/tenants/beta/enrollment-tokens?limit=1", None),
    // Refused, the members before the tenant.
    (Admin, "POST", OF_ACME, None),
    (Admin, "POST", OF_ACME, Some("null")),
    (Admin, "POST", OF_ACME, Some("[]")),
    (Admin, "POST", OF_ACME, Some("{")),
    (Admin, "POST", OF_ACME, Some(r#"{"label":7}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"label":"a\u0000b"}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"expires_in_days":0}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"expires_in_days":-1}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"expires_in_days":3651}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"expires_in_days":1.5}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"expires_in_days":"soon"}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"max_uses":0}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"max_uses":2147483648}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"max_uses":true}"#)),
    (Admin, "POST", "/tenants/missing/enrollment-tokens", Some(r#"{"max_uses":0}"#)),
    (Admin, "POST", "/tenants/missing/enrollment-tokens", Some("{}")),
    (Admin, "POST", "/tenants/a%27%3B%20DROP%20TABLE%20tenants/enrollment-tokens", Some("{}")),
    // Revoke.
    (Admin, "DELETE", "/tenants/acme/enrollment-tokens/<3>", None),
    (Admin, "DELETE", "/tenants/acme/enrollment-tokens/<3>", None),
    (Admin, "DELETE", "/tenants/beta/enrollment-tokens/<4>", None),
    (Admin, "DELETE", "/tenants/missing/enrollment-tokens/<4>", None),
    (Admin, "DELETE", "/tenants/acme/enrollment-tokens/none", None),
    (Admin, "DELETE", "/tenants/acme/enrollment-tokens/<1>", None),
    (Admin, "DELETE", "/tenants/acme/enrollment-tokens/%27%20OR%201%3D1", None),
    (Admin, "DELETE", "/tenants/acme/enrollment-tokens/..%2f..%2fbeta", None),
    (Admin, "DELETE", "/tenants/acme/enrollment-tokens/a%00b", None),
    (Admin, "GET", OF_ACME, None),
    // Permissions.
    (Owner, "GET", OF_ACME, None),
    (Owner, "POST", OF_ACME, Some("{")),
    (Owner, "DELETE", "/tenants/acme/enrollment-tokens/<4>", None),
    (Reader, "GET", OF_ACME, None),
    (Nobody, "GET", OF_ACME, None),
    (Nobody, "POST", OF_ACME, Some("{}")),
    (Garbage, "DELETE", "/tenants/acme/enrollment-tokens/<4>", None),
    // Paths and methods.
    (Admin, "PUT", OF_ACME, Some("{}")),
    (Admin, "GET", "/tenants/acme/enrollment-tokens/<4>", None),
    (Admin, "GET", "/tenants/acme/enrollment-tokens/", None),
    // The other surface has tokens of its own.
    (Admin, "GET", "=/v1/admin/tokens?tenant_id=acme", None),
    // The tokens are deleted with their tenant.
    (Admin, "DELETE", "/tenants/acme?confirm=acme", None),
    (Admin, "GET", OF_ACME, None),
    (Admin, "POST", "/tenants", Some(r#"{"name":"Acme","slug":"acme"}"#)),
    (Admin, "GET", OF_ACME, None),
];

#[rustfmt::skip]
const HOSTS: &[Line] = &[
    (Admin, "POST", "/tenants", Some(r#"{"name":"Acme","slug":"acme"}"#)),
    (Admin, "POST", "/tenants", Some(r#"{"name":"Beta","slug":"beta"}"#)),
    (Admin, "POST", OF_ACME, Some(r#"{"max_uses":3}"#)),
    (Admin, "POST", "/tenants/beta/enrollment-tokens", Some("{}")),
    (Admin, "GET", "/tenants/acme/agents", None),
    (Admin, "GET", "/tenants/missing/agents", None),
    // Register.
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"Web-1.Example.COM.","hostname":"web-1","ipv4":"10.0.0.7","ipv6":"2001:DB8::7","message_type":"host_registration","message_id":"7","timestamp":"2031-01-01T00:00:00Z","script_execution_enabled":true,"is_privileged":true,"enabled_shells":["bash","sh"],"agent_version":"1.4.0","agent_capabilities":{"packages":["apt"],"level":2},"auto_approve_token":"x","registration_key":"y","enrollment_token":"<sme_1>"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":false,"fqdn":"db.example.com","hostname":"db","ipv4":null,"ipv6":"","agent_capabilities":null,"enrollment_token":"<sme_1>"}"#)),
    // A known host burns no use, whatever the spelling, keeps what it does not mention, and gets another token.
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":" WEB-1.example.com","hostname":"web","enrollment_token":"<sme_1>"}"#)),
    (Admin, "GET", OF_ACME, None),
    (Admin, "GET", "/tenants/acme/agents", None),
    (Admin, "GET", "=/api/v1/control-plane/tenants/<1>/agents", None),
    // The token of the host will do, and only the newest; with the first one, the enrollment token is needed.
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"web-1.example.com","hostname":"web","host_token":"<smh_3>"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"web-1.example.com","hostname":"web","host_token":"<smh_1>"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"web-1.example.com","hostname":"web","host_token":"<smh_1>","enrollment_token":"<sme_1>"}"#)),
    // It may change its name, but not to that of another host; and it stays in its tenant.
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"db.example.com","hostname":"db","host_token":"<smh_5>"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"web-2.example.com","hostname":"web-2","host_token":"<smh_5>","enrollment_token":"<sme_2>"}"#)),
    // The same name in another tenant is another host.
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"web-2.example.com","hostname":"web-2","enrollment_token":"<sme_2>"}"#)),
    // The last use; then the token is used up, for known hosts, too.
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"mail.example.com","hostname":"mail","enrollment_token":"<sme_1>"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"more.example.com","hostname":"more","enrollment_token":"<sme_1>"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"mail.example.com","hostname":"mail","enrollment_token":"<sme_1>"}"#)),
    // No token at all, and one of the administrator, which is not one.
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a.example.com","hostname":"a"}"#)),
    (Admin, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a.example.com","hostname":"a","enrollment_token":null}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a.example.com","hostname":"a","enrollment_token":"sme_guessed' OR '1'='1"}"#)),
    // Refused whatever the token is.
    (Nobody, "POST", REGISTER, None),
    (Nobody, "POST", REGISTER, Some("{}")),
    (Nobody, "POST", REGISTER, Some("{")),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a.example.com","enrollment_token":"sme_guessed"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a.example.com","hostname":"a","role":"admin","enrollment_token":"<sme_2>"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a.example.com","hostname":"a","tenant_id":"<1>","enrollment_token":"<sme_2>"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":"maybe","fqdn":"a.example.com","hostname":"a"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":7,"hostname":"a"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a","hostname":"a","enrollment_token":7}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a'; DROP TABLE hosts; --","hostname":"a"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a","hostname":"../../etc/passwd"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a","hostname":"a","ipv4":"10.0.0"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a","hostname":"a","ipv6":"10.0.0.1"}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a","hostname":"a","enabled_shells":["a\nb"]}"#)),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"a","hostname":"a","enabled_shells":"bash"}"#)),
    (Nobody, "GET", REGISTER, None),
    (Nobody, "POST", "=/api/host/register/", Some("{}")),
    (Nobody, "POST", "=/api/host/other", Some("{}")),
    // Permissions.
    (Owner, "GET", "/tenants/acme/agents", None),
    (Owner, "GET", "/tenants/beta/agents", None),
    (Owner, "DELETE", "/tenants/acme/agents/<6>", None),
    (Reader, "GET", "/tenants/acme/agents", None),
    (Nobody, "GET", "/tenants/acme/agents", None),
    (Nobody, "DELETE", "/tenants/acme/agents/<6>", None),
    // Remove.
    (Admin, "DELETE", "/tenants/beta/agents/<6>", None),
    (Admin, "DELETE", "/tenants/acme/agents/<6>", None),
    (Admin, "DELETE", "/tenants/acme/agents/<6>", None),
    (Admin, "DELETE", "/tenants/missing/agents/<5>", None),
    (Admin, "DELETE", "/tenants/acme/agents/none", None),
    (Admin, "DELETE", "/tenants/acme/agents/%27%20OR%201%3D1", None),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"db.example.com","hostname":"db","host_token":"<smh_2>"}"#)),
    (Admin, "GET", "/tenants/acme/agents", None),
    (Admin, "POST", "/tenants/acme/agents", Some("{}")),
    // The hosts are deleted with their tenant.
    (Admin, "DELETE", "/tenants/acme?confirm=acme", None),
    (Nobody, "POST", REGISTER, Some(r#"{"active":true,"fqdn":"web-2.example.com","hostname":"web-2","host_token":"<smh_5>"}"#)),
    (Admin, "GET", "/tenants/acme/agents", None),
];

/// The secrets of a conversation, with their masks.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// Remembers the token in a response.
    fn note(&mut self, body: &str) {
        let Ok(body) = serde_json::from_str::<serde_json::Value>(body) else { return };
        for (member, begin) in [("token", "sme_"), ("host_token", "smh_")] {
            let Some(text) = body[member].as_str() else { continue };
            assert!(text.starts_with(begin) && text.len() == 47, "{member} is not a token");
            let number = self.0.iter().filter(|(mask, _)| mask.contains(begin)).count() + 1;
            self.0.push((format!("<{begin}{number}>"), text.to_owned()));
        }
    }

    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (mask, secret)| text.replace(mask, secret))
    }
}

/// Sends each line and records it with its response.
async fn run_conversation(server: &Server, lines: &[Line]) -> String {
    let (mut ids, mut secrets, mut written) = (Ids::default(), Secrets::default(), String::new());
    for (who, method, path, body) in lines {
        let path = match path.strip_prefix('=') {
            Some(path) => path.to_owned(),
            None => format!("/api/control-plane{path}"),
        };
        let sent = body.map(|body| secrets.fill(&ids.fill(body)));
        let verb = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = client(server, *who).await.call(verb, &ids.fill(&path), sent.as_deref()).await;
        let line = [&format!("{who:?}").to_lowercase(), ": ", *method, " ", &path].concat();
        let shown = [Some(line.as_str()), *body].into_iter().flatten().collect::<Vec<_>>().join(" ");
        written.push_str(&format!("> {shown}\n{}\n", ids.mask(&answer.shown())));
        secrets.note(&answer.body);
        for (mask, secret) in &secrets.0 {
            assert!(!written.contains(secret.as_str()) && !server.log().contains(secret.as_str()), "{mask} is shown");
        }
    }
    written
}

#[tokio::test]
async fn enrollment_tokens_answer_as_documented() {
    for server in servers(Setup::dev).await {
        golden::check("controlplane/enrollment_tokens.txt", &run_conversation(&server, TOKENS).await);
    }
}

#[tokio::test]
async fn hosts_answer_as_documented() {
    for server in servers(Setup::dev).await {
        golden::check("controlplane/hosts.txt", &run_conversation(&server, HOSTS).await);
    }
}
