//! TLS to the server, in each mode.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sea_orm::Statement;
use tenantry::{
    base::{Kind, Result},
    store::{Store, StoreConfig, execute},
};

use super::LONG;
use crate::harness::postgres::Postgres;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for these names, and its key.
fn certificate(by: &Authority, names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    (CertificateParams::new(names).unwrap().signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

/// Whether the connection uses TLS, with the parameters of a URL.
async fn is_encrypted(url: &str, parameters: &str) -> Result<bool> {
    let url = format!("{url}?{parameters}");
    let opening = Store::open(StoreConfig { max_connections: 1, ..StoreConfig::new(url) });
    let store = tokio::time::timeout(LONG, opening).await.expect("it ends")?;
    let own = "SELECT 1 FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl";
    let found = execute(store.read(), Statement::from_string(store.backend(), own)).await?;
    store.close().await;
    Ok(found == 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_mode_of_tls_checks_what_it_promises() {
    let (known, other) = (authority("known"), authority("other"));
    let (pem, key) = certificate(&known, &["localhost"]);
    let write = |path: &Path, content: &str| fs::write(path, content).unwrap();
    let server = Postgres::start(
        "ssl = on\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\nssl_ca_file = 'ca.pem'\nfsync = off",
        |data| {
            write(&data.join("server.pem"), &pem);
            write(&data.join("server.key"), &key);
            write(&data.join("ca.pem"), &known.as_ref().pem());
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            fs::set_permissions(data.join("server.key"), private).unwrap();
            let rules = fs::read_to_string(data.join("pg_hba.conf")).unwrap();
            let certified = "hostssl all certified localhost scram-sha-256 clientcert=verify-ca";
            write(&data.join("pg_hba.conf"), &format!("{certified}\nhost all certified all reject\n{rules}"));
        },
    );
    let ca = server.file("ca.pem", &known.as_ref().pem()).display().to_string();
    let unknown = server.file("other.pem", &other.as_ref().pem()).display().to_string();
    // The certificate is for the name, and not for the address.
    let (named, addressed) = (server.url_at("localhost"), server.url_at("127.0.0.1"));

    assert!(!is_encrypted(&named, "sslmode=disable").await.unwrap());
    assert!(!is_encrypted(&named, "sslmode=allow").await.unwrap());
    assert!(is_encrypted(&named, "").await.unwrap(), "prefer is the default");
    assert!(is_encrypted(&addressed, "sslmode=prefer").await.unwrap());
    assert!(is_encrypted(&addressed, "sslmode=require").await.unwrap());
    let checked = |mode: &str, ca: &str| format!("sslmode={mode}&sslrootcert={ca}");
    assert!(is_encrypted(&named, &checked("verify-ca", &ca)).await.unwrap());
    assert!(is_encrypted(&addressed, &checked("verify-ca", &ca)).await.unwrap(), "any name");
    assert!(is_encrypted(&named, &checked("verify-full", &ca)).await.unwrap());
    for (url, parameters) in [
        (&addressed, checked("verify-full", &ca)),
        (&named, checked("verify-full", &unknown)),
        (&named, checked("verify-ca", &unknown)),
        (&named, "sslmode=verify-ca".to_owned()),
        (&named, checked("verify-full", "/nowhere/ca.pem")),
    ] {
        let error = is_encrypted(url, &parameters).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable, "{parameters}");
        assert!(!error.to_string().contains("certificate"), "{error}");
    }

    // A certificate of the client.
    server.client("psql", &["-c", "CREATE ROLE certified LOGIN PASSWORD 'x'", "postgres"]);
    let certified = format!("postgres://certified:x@localhost:{}/postgres", server.port());
    assert!(is_encrypted(&certified, "sslmode=require").await.is_err());
    let (pem, key) = certificate(&known, &["certified"]);
    let (pem, key) = (server.file("client.pem", &pem), server.file("client.key", &key));
    let own = format!("sslmode=require&sslcert={}&sslkey={}", pem.display(), key.display());
    assert!(is_encrypted(&certified, &own).await.unwrap());
    // The library's errors quote the line.
    let in_one_line = fs::read_to_string(&key).unwrap().replace('\n', " ");
    let in_one_line = server.file("line.key", &in_one_line);
    let own = format!("sslmode=require&sslcert={}&sslkey={}", pem.display(), in_one_line.display());
    let error = is_encrypted(&certified, &own).await.unwrap_err();
    let cause = error.cause.as_ref().expect("a cause").to_string();
    assert!(cause.contains("sslkey is not PEM") && !cause.contains("45, 45"), "{cause}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_used_only_if_tls_is_not_required() {
    let server = Postgres::start("fsync = off", |_| ());
    assert!(!is_encrypted(&server.url(), "sslmode=prefer").await.unwrap());
    for mode in ["require", "verify-ca", "verify-full"] {
        let error = is_encrypted(&server.url(), &format!("sslmode={mode}")).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable, "{mode}");
    }
    // A socket, as a directory.
    let socket = server.socket().display().to_string().replace('/', "%2F");
    let url = server.url_at(&socket);
    assert!(!is_encrypted(&url, "sslmode=prefer").await.unwrap());
}
