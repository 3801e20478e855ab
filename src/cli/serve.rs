//! `tenantry serve`: the server in production. It refuses settings that are only good for development.

use super::{
    Common,
    config::Config,
    dev::ADMIN,
    material::{Material, Purpose},
    start::{app, bind, block_on_server, check_keys, init_logs, listen_flags, open_existing, serve},
};
use crate::{
    auth::authn::keys::KeyError,
    base::Secret,
    identity::{Passwords, accounts},
    server::{App, Signals, Sockets},
    store::Store,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address to listen on; may be repeated [env: TENANTRY_LISTEN]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Address of the listener for devices and gateways, with mutual TLS [env: TENANTRY_MTLS_LISTEN]
    #[arg(long, value_name = "ADDR")]
    mtls_listen: Option<String>,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let config = common.load(&listen_flags(&arguments.listen, arguments.mtls_listen.as_deref()))?;
    let material = Material::read(&config, Purpose::Production)?;
    let _log = init_logs(&config)?;
    block_on_server(start(config, material))
}

async fn start(config: Config, material: Material) -> anyhow::Result<()> {
    let mut signals = Signals::catch()?;
    let Some(prepared) = signals.during_start(prepare(config, material)).await else { return Ok(()) };
    let (app, sockets) = prepared?;
    serve(app, sockets, signals).await
}

/// Prepares the server; all its settings are valid.
async fn prepare(config: Config, mut material: Material) -> anyhow::Result<(App, Sockets)> {
    material.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    // It exists: it was read for production.
    let keys = material.keys_or(|| Err(KeyError::Missing))?;
    let (listeners, mut bound) = bind(&config.listen, false).await?;
    let (mutual, address) = bind(config.mtls_listen.as_slice(), false).await?;
    let sockets = Sockets { listeners, mutual: mutual.into_iter().next() };
    bound.extend(address);
    let store = open_existing(&config).await?;
    let pending = store.pending_migrations().await?;
    refuse_dev_account(&store, !pending.is_empty()).await?;
    if pending.is_empty() {
        check_keys(&store, material.keyring.as_ref()).await?;
    } else {
        tracing::warn!(
            pending = pending.len(),
            "the schema is behind: run `tenantry migrate up`; not ready until then"
        );
    }
    let app = app(&config, material, store, keys)?;
    tracing::info!(?bound, "listening");
    Ok((app, sockets))
}

/// Refuses a database whose administrator still has the password of `dev`. Before the schema is up to date there may be
/// no table of accounts.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        auth::authn::keys::Keys,
        base::{private_file, setting_file::DEV_MARK},
    };

    fn check(env: &[(&str, &str)]) -> Result<(), String> {
        let env = env.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let config = Config::read(&[], env, None).usable().unwrap();
        Material::read(&config, Purpose::Production).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_missing_is_reported_together() {
        let told = check(&[("KUBEOP_REQUIRE_AUTH", "false"), ("QOD_API_KEY", "letmein")]).unwrap_err();
        let missing = ["TENANTRY_JWT_KEY", "TENANTRY_DATABASE_URL", "TENANTRY_LISTEN", "KUBEOP_REQUIRE_AUTH"];
        for part in missing.into_iter().chain(["QOD_API_KEY", "openssl rand"]) {
            assert!(told.contains(part), "{told}");
        }
        assert!(!told.contains("letmein"), "{told}");
    }

    #[test]
    fn a_complete_configuration_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let key = dir.path().join("jwt.pem");
        let development = Keys::load_or_create(&key, None).map(|_| std::fs::read_to_string(&key).unwrap()).unwrap();
        let mut env = vec![
            ("TENANTRY_JWT_KEY", key.to_str().unwrap()),
            ("TENANTRY_DATABASE_URL", "postgres://db/tenantry"),
            ("TENANTRY_LISTEN", "0.0.0.0:8080"),
            ("QOD_API_KEY", "0123456789abcdefghij"),
        ];
        assert!(check(&env).unwrap_err().contains("made by `tenantry dev`"));
        private_file::write(&key, development.split_once('\n').unwrap().1.as_bytes()).unwrap();
        assert_eq!(check(&env), Ok(()));
        let (cert, tls_key) = (("TENANTRY_TLS_CERT", "/nowhere/cert.pem"), ("TENANTRY_TLS_KEY", "/nowhere/key.pem"));
        let unfit = check(&[&env[..], &[cert, tls_key]].concat()).unwrap_err();
        assert!(unfit.contains("TENANTRY_TLS_CERT") && unfit.contains("/nowhere/cert.pem"), "{unfit}");
        env.push(("TENANTRY_JWT_KEY_PREVIOUS", "/nowhere/old.pem"));
        assert!(check(&env).unwrap_err().contains("/nowhere/old.pem"));
    }

    #[cfg(unix)]
    #[test]
    fn key_files_must_be_readable_only_by_their_owner() {
        use std::{fs, os::unix::fs::PermissionsExt};
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (kek, previous) = (path("kek"), path("previous.kek"));
        for file in [&kek, &previous] {
            private_file::write(file.as_ref(), crate::store::Kek::generate().expose().as_bytes()).unwrap();
        }
        let env = [("TENANTRY_KEK", kek.as_str()), ("TENANTRY_KEK_PREVIOUS", previous.as_str())];
        let told = || check(&env).unwrap_err();
        assert!(!told().contains("KEK"), "{}", told());
        let own = fs::read_to_string(&previous).unwrap();
        private_file::write(previous.as_ref(), format!("{DEV_MARK}\n{own}").as_bytes()).unwrap();
        assert!(told().contains("(TENANTRY_KEK_PREVIOUS)") && told().contains("made by `tenantry dev`"), "{}", told());
        private_file::write(previous.as_ref(), own.as_bytes()).unwrap();
        for (file, variable) in [(&kek, "(TENANTRY_KEK)"), (&previous, "(TENANTRY_KEK_PREVIOUS)")] {
            for mode in [0o640, 0o604] {
                fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
                let told = told();
                assert!(
                    told.contains(variable) && told.contains(file.as_str()) && told.contains("chmod 600"),
                    "{told}"
                );
            }
            fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let own = Config::read(&[], env.map(|(k, v)| (k.into(), v.into())).into_iter(), None).usable().unwrap();
        fs::set_permissions(&kek, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Material::read(&own, Purpose::Any).is_ok(), "commands of an operator take it");
    }
}
