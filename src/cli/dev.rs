//! `tenantry dev`: everything that a developer needs, on this machine alone.

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;

use super::{
    Common, Usage,
    config::{Config, TlsFiles},
    dev_key_file,
    start::{app, bind, block_on, init_logs, is_new, open_store, serve},
};
use crate::{
    auth::{
        Surface,
        keys::{Keys, write_private},
        tokens::{self, Claims},
    },
    base::{Clock, Cx, Error, Role, Secret},
    identity::{self, NewAccount, Password, Passwords},
    messaging,
    server::Signals,
    store::{Kek, Store},
};

/// The ports that the documents of the surfaces use.
const PORTS: [u16; 3] = [18080, 20900, 8080];
/// The account of the platform's administrator, and its password as long as only this machine can use it.
pub(super) const ADMIN: &str = "admin";
/// How long the token beside the data is good.
const TOKEN_TIME: Duration = Duration::from_secs(24 * 3600);

/// Arguments of `dev`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address to listen on; may be repeated [variable: TENANTRY_LISTEN]
    /// [default: 127.0.0.1 on the ports 18080, 20900 and 8080]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Listen on addresses that others can reach; the administrator gets a random password
    #[arg(long)]
    insecure_listen: bool,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let own = if arguments.listen.is_empty() { vec![] } else { vec![("listen", arguments.listen.join(","))] };
    let (config, _) = common.load(&own)?;
    let _log = init_logs(&config)?;
    let (addresses, exposed) = addresses(&config, arguments.insecure_listen)?;
    block_on(start(config, addresses, exposed))
}

/// Where to listen, and whether others can reach it.
fn addresses(config: &Config, insecure: bool) -> Result<(Vec<SocketAddr>, bool), Usage> {
    let addresses = match config.listen.as_slice() {
        [] => PORTS.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).to_vec(),
        given => given.to_vec(),
    };
    let exposed = addresses.iter().any(|address| !address.ip().is_loopback());
    if exposed && !insecure {
        return Err(Usage("dev listens on loopback alone; --insecure-listen lets others reach it"));
    }
    Ok((addresses, exposed))
}

async fn start(mut config: Config, addresses: Vec<SocketAddr>, exposed: bool) -> anyhow::Result<()> {
    let signals = Signals::catch()?;
    let (listeners, bound) = bind(&addresses, true).await?;
    make_private_dir(&config.data_dir)?;
    let key = config.jwt_key.clone().unwrap_or_else(|| dev_key_file(&config.data_dir));
    let keys = Keys::load_or_create(&key, config.jwt_key_previous.as_deref())?;
    let token = write_token(&config.data_dir, &keys)?;
    if config.kek.is_none() {
        config.kek = Some(dev_kek(&config.data_dir)?);
    }
    let random = exposed.then(|| uuid::Uuid::new_v4().simple().to_string());
    let password = Password::of_development(random.as_deref().unwrap_or(ADMIN));
    let ahead = is_new(&config).then(|| hash_ahead(&password));
    let store = open_store(&config).await?;
    store.migrate(|name| tracing::info!(migration = name, "migrating")).await?;
    admin_account(&store, exposed, password, ahead).await?;
    if config.messaging_bootstrap.unwrap_or(true) {
        // Before the server says that it is ready: what it tells of its tenants does not change by itself afterwards.
        messaging::bootstrap(&Cx::system("messaging.bootstrap", store.clock().clone()), &store).await?;
    }
    let mut app = app(&config, store, keys)?;
    app.open_manager = is_open(exposed, config.kubeop_require_auth);
    print(&welcome(&bound, config.tls.as_ref(), &token, random.as_deref()))?;
    serve(app, listeners, signals).await
}

/// Whether local callers on manager paths need no token: never on a server that others can reach.
fn is_open(exposed: bool, require_auth: Option<bool>) -> bool {
    !exposed && require_auth != Some(true)
}

/// A directory that its owner alone may enter.
fn make_private_dir(path: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("cannot make the data directory {}", path.display()))?;
    #[cfg(unix)]
    if let Err(error) = close_to_others(path) {
        tracing::warn!(%error, path = %path.display(), "others may enter the data directory");
    }
    Ok(())
}

/// Closes a directory that was there before to everybody but its owner. One that holds other things is left as it is:
/// `--data-dir /tmp` must not close `/tmp`.
#[cfg(unix)]
fn close_to_others(path: &Path) -> std::io::Result<()> {
    use std::{fs, io, os::unix::fs::PermissionsExt};

    const OTHERS: u32 = 0o077;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let ours = dev_key_file(path).exists() || fs::read_dir(path)?.next().is_none();
    if !ours || mode & 0o1000 != 0 {
        return Err(io::Error::other("it was not made for this, and its mode is left as it is"));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

/// Writes a token of the platform's administrator beside the data.
fn write_token(data_dir: &Path, keys: &Keys) -> anyhow::Result<PathBuf> {
    let (role, clock) = (Role::PlatformAdmin, Clock::system());
    let claims = Claims::minted(ADMIN.to_owned(), role, &Surface::ALL, TOKEN_TIME, &clock);
    let path = data_dir.join("admin.jwt");
    write_private(&path, tokens::issue(keys, &claims)?.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// The file of the key that seals secrets beside the data, which is made if it is missing.
fn dev_kek(data_dir: &Path) -> anyhow::Result<Secret<String>> {
    let path = data_dir.join("kek");
    if !path.exists() {
        write_private(&path, Kek::generate().expose().as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Secret::new(path.to_string_lossy().into_owned()))
}

/// The hash of the administrator's password, made beside the opening of a database that is new: it takes longer than all
/// else here.
type Ahead = tokio::task::JoinHandle<Result<String, Error>>;

fn hash_ahead(password: &Password) -> Ahead {
    let password = password.clone();
    tokio::spawn(async move { Passwords::new(1).hash(password).await })
}

/// Makes the administrator's account if there is none. On a server that others can reach its password is a random one,
/// new with each start.
async fn admin_account(store: &Store, exposed: bool, password: Password, ahead: Option<Ahead>) -> anyhow::Result<()> {
    let cx = Cx::system("dev", store.clock().clone());
    let passwords = Passwords::new(1);
    if identity::accounts::exists(store, None, ADMIN).await? {
        if exposed {
            identity::set_password(store, &passwords, &cx, None, ADMIN, password).await?;
        }
        return Ok(());
    }
    let hash = match ahead {
        Some(ahead) => ahead.await??,
        None => passwords.hash(password.clone()).await?,
    };
    let account = NewAccount::login(None, ADMIN, password, Role::PlatformAdmin);
    let made = store.write(&cx, "account.create", move |tx| {
        let (account, hash) = (account.clone(), hash.clone());
        Box::pin(async move { identity::accounts::insert(tx, &account, hash).await })
    });
    made.await?;
    Ok(())
}

fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What to try.
fn welcome(bound: &[SocketAddr], tls: Option<&TlsFiles>, token: &Path, password: Option<&str>) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let certificate = tls.map(|files| files.certificate.display());
    let curl = certificate.as_ref().map_or("curl".to_owned(), |path| format!("curl --cacert {path}"));
    let grpcurl = certificate.map_or("grpcurl -plaintext".to_owned(), |path| format!("grpcurl -cacert {path}"));
    // Port 8080 is the one that most documents use.
    let address = bound.iter().find(|address| address.port() == 8080).or(bound.first()).map(SocketAddr::to_string);
    let address = address.unwrap_or_default();
    let listening: Vec<_> = bound.iter().map(|address| format!("{scheme}://{address}")).collect();
    let token = token.display();
    let admin = match password {
        Some(password) => format!("account  {ADMIN}, password {password}"),
        None => format!("account  {ADMIN}, password {ADMIN}"),
    };
    format!(
        r#"tenantry is ready: gRPC, gRPC-Web and REST on {listening}
token    {token} (platform_admin, 24 h)
{admin}

Try:
  TOKEN=$(cat {token})
  {curl} -H "Authorization: Bearer $TOKEN" {scheme}://{address}/admin/v2/clusters
  {curl} -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -X PUT \
    -d '{{"adminRoles":["ops"],"allowedClusters":["standalone"]}}' {scheme}://{address}/admin/v2/tenants/acme
  {curl} -H "Authorization: Bearer $TOKEN" {scheme}://{address}/admin/v2/tenants/acme
  {grpcurl} {address} list
  {grpcurl} -H "authorization: Bearer $TOKEN" -d '{{"tenant":"acme"}}' {address} \
    tenantry.messaging.v2.TenantService/GetTenant
"#,
        listening = listening.join(" "),
    )
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn mode_after(file: Option<&str>) -> u32 {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if let Some(file) = file {
            fs::write(dir.path().join(file), "x").unwrap();
        }
        make_private_dir(dir.path()).unwrap();
        fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn no_server_that_others_can_reach_is_open() {
        assert!(is_open(false, None) && is_open(false, Some(false)) && !is_open(false, Some(true)));
        assert!([None, Some(false), Some(true)].into_iter().all(|require_auth| !is_open(true, require_auth)));
    }

    #[test]
    fn a_data_directory_is_closed_to_others_and_another_is_not() {
        assert_eq!(mode_after(None), 0o700);
        assert_eq!(mode_after(Some("jwt.pem")), 0o700);
        assert_eq!(mode_after(Some("thesis.tex")), 0o755);
    }
}
