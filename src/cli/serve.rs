//! `tenantry serve`: the server in production. It starts on nothing that is only good for development.

use super::{
    Common,
    config::Config,
    dev::ADMIN,
    start::{app, bind, block_on, init_logs, open_store, serve, tls},
};
use crate::{
    auth::keys::Keys,
    base::Secret,
    identity::{Passwords, accounts},
    server::Signals,
    store::Store,
};

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address to listen on; may be repeated [variable: TENANTRY_LISTEN]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
}

/// Why `serve` does not start: every reason, not the first alone.
#[derive(Debug, thiserror::Error)]
#[error("the configuration is not fit for production:\n  {}", .0.join("\n  "))]
struct Unfit(Vec<String>);

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let own = if arguments.listen.is_empty() { vec![] } else { vec![("listen", arguments.listen.join(","))] };
    let (config, _) = common.load(&own)?;
    let keys = check(&config)?;
    let _log = init_logs(&config)?;
    block_on(start(config, keys))
}

async fn start(config: Config, keys: Keys) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let (listeners, bound) = bind(&config.listen, false).await?;
    let store = open_store(&config).await?;
    let pending = store.pending_migrations().await?;
    refuse_dev_account(&store, !pending.is_empty()).await?;
    if !pending.is_empty() {
        tracing::warn!(
            pending = pending.len(),
            "the schema is behind: run `tenantry migrate up`; not ready until then"
        );
    }
    let app = app(&config, store, keys)?;
    tracing::info!(?bound, "listening");
    serve(app, listeners, signals).await
}

/// Refuses a database whose administrator still has the password that `dev` gave it. Before the schema is up to date
/// there may be no accounts to ask for.
async fn refuse_dev_account(store: &Store, behind: bool) -> anyhow::Result<()> {
    let password = Secret::new(ADMIN.to_owned());
    match accounts::has_password(store, &Passwords::new(1), ADMIN, password).await {
        Ok(false) => Ok(()),
        Ok(true) => anyhow::bail!(
            "the account {ADMIN} has the password that `tenantry dev` gives it: run `tenantry users set-password {ADMIN}`"
        ),
        Err(_) if behind => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Finds everything that is missing or only good for development.
fn check(config: &Config) -> Result<Keys, Unfit> {
    let mut unfit = Vec::new();
    let keys = match &config.jwt_key {
        None => {
            unfit.push("TENANTRY_JWT_KEY is missing: the file of the Ed25519 key that signs tokens".to_owned());
            None
        }
        Some(path) => Keys::load_strict(path, config.jwt_key_previous.as_deref())
            .map_err(|error| unfit.push(format!("TENANTRY_JWT_KEY or TENANTRY_JWT_KEY_PREVIOUS: {error}")))
            .ok(),
    };
    if let Err(error) = tls(config) {
        unfit.push(format!("TENANTRY_TLS_CERT or TENANTRY_TLS_KEY: {error}"));
    }
    if config.database_url.is_none() {
        unfit.push("TENANTRY_DATABASE_URL is missing: postgres://... or sqlite:FILE".to_owned());
    }
    if config.listen.is_empty() {
        unfit.push("TENANTRY_LISTEN is missing: the addresses to listen on".to_owned());
    }
    if config.kubeop_require_auth == Some(false) {
        unfit.push("KUBEOP_REQUIRE_AUTH=false is for local demos: only dev runs without authentication".to_owned());
    }
    match keys {
        Some(keys) if unfit.is_empty() => Ok(keys),
        _ => Err(Unfit(unfit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::keys::write_private;

    fn config(env: &[(&str, &str)]) -> Config {
        Config::read(&[], env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())), None).unwrap().0
    }

    #[test]
    fn everything_that_is_missing_is_told_at_once() {
        let told = check(&config(&[("KUBEOP_REQUIRE_AUTH", "false")])).unwrap_err().to_string();
        for part in ["TENANTRY_JWT_KEY", "TENANTRY_DATABASE_URL", "TENANTRY_LISTEN", "KUBEOP_REQUIRE_AUTH=false"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn what_is_complete_is_fit() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("jwt.pem");
        let development = Keys::load_or_create(&key, None).map(|_| std::fs::read_to_string(&key).unwrap()).unwrap();
        let mut env = vec![
            ("TENANTRY_JWT_KEY", key.to_str().unwrap()),
            ("TENANTRY_DATABASE_URL", "postgres://db/tenantry"),
            ("TENANTRY_LISTEN", "0.0.0.0:8080"),
        ];
        assert!(check(&config(&env)).unwrap_err().to_string().contains("made by `tenantry dev`"));
        write_private(&key, development.split_once('\n').unwrap().1.as_bytes()).unwrap();
        assert!(check(&config(&env)).is_ok());
        let (cert, tls_key) = (("TENANTRY_TLS_CERT", "/nowhere/cert.pem"), ("TENANTRY_TLS_KEY", "/nowhere/key.pem"));
        let unfit = check(&config(&[&env[..], &[cert, tls_key]].concat())).unwrap_err().to_string();
        assert!(unfit.contains("TENANTRY_TLS_CERT") && unfit.contains("/nowhere/cert.pem"), "{unfit}");
        env.push(("TENANTRY_JWT_KEY_PREVIOUS", "/nowhere/old.pem"));
        assert!(check(&config(&env)).unwrap_err().to_string().contains("/nowhere/old.pem"));
    }
}
