//! `tenantry dev`: everything that a developer needs, on one machine.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use tokio::net::TcpListener;

use super::{
    Common, Usage,
    config::{Config, TlsFiles},
    data_dir, dev_kek_file, dev_key_file,
    material::{Material, Purpose, read_kek},
    output,
    peers::{self, Peers, Programs},
    start::{app, bind, block_on_server, check_keys, init_logs, is_new, listen_flags, open_store, serve},
};
use crate::{
    auth::{
        Surface,
        authn::{
            keys::Keys,
            tokens::{self, Claims},
        },
    },
    base::{
        Clock, Cx, Error, Role, Secret,
        error::Reason,
        private_file,
        setting_file::{self, DEV_MARK},
    },
    identity::{self, NewAccount, Password, Passwords},
    messaging,
    server::{App, Signals, Sockets},
    store::{Kek, Keyring, Store},
};

/// The ports in the documents of the surfaces.
const PORTS: [u16; 3] = [18080, 20900, 8080];
/// The port of the listener that asks for client certificates.
const MTLS_PORT: u16 = 18443;
/// The platform administrator's account, and its password as long as the server is reachable only from this machine.
pub(super) const ADMIN: &str = "admin";
/// Validity of the token in the data directory.
const TOKEN_TIME: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address to listen on; may be repeated [env: TENANTRY_LISTEN]
    /// [default: 127.0.0.1 on ports 18080, 20900 and 8080]
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Address of the listener for devices and gateways, with mutual TLS [env: TENANTRY_MTLS_LISTEN]
    /// [default: 127.0.0.1:18443]
    #[arg(long, value_name = "ADDR")]
    mtls_listen: Option<String>,
    /// Allow addresses that other machines can reach; the administrator gets a random password
    #[arg(long)]
    insecure_listen: bool,
    /// Start a PostgreSQL for the databases of tenants and an OpenBAO for their logins beside the server
    ///
    /// They are found in PATH, in /usr/lib/postgresql, and in .cache/peers, where `scripts/peers openbao postgres-18` installs them. Both
    /// listen on loopback, use free ports, and end with the server; their data is lost then. Provision the tenants again after a
    /// restart. As root, PostgreSQL is run by the user postgres.
    #[arg(long)]
    with_peers: bool,
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let mut flags = listen_flags(&arguments.listen, arguments.mtls_listen.as_deref());
    if arguments.with_peers {
        flags.extend(peers::settings(&common.find(&flags).layers)?);
    }
    let config = common.load(&flags)?;
    let material = Material::read(&config, Purpose::Any)?;
    let programs = arguments.with_peers.then(Programs::find).transpose()?;
    let _log = init_logs(&config)?;
    let (addresses, exposed) = addresses(&config, arguments.insecure_listen)?;
    block_on_server(start(config, material, addresses, exposed, programs))
}

/// Where to listen, and whether other machines can reach it.
fn addresses(config: &Config, insecure: bool) -> Result<(Vec<SocketAddr>, bool), Usage> {
    let addresses = match config.listen.as_slice() {
        [] => PORTS.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).to_vec(),
        given => given.to_vec(),
    };
    let exposed = addresses.iter().chain(&config.mtls_listen).any(|address| !address.ip().is_loopback());
    if exposed && !insecure {
        return Err(Usage("dev listens only on loopback; use --insecure-listen to listen on other addresses"));
    }
    Ok((addresses, exposed))
}

async fn start(
    mut config: Config,
    mut material: Material,
    addresses: Vec<SocketAddr>,
    exposed: bool,
    programs: Option<Programs>,
) -> anyhow::Result<()> {
    let mut signals = Signals::catch()?;
    let mut peers = None;
    if let Some(programs) = programs {
        let Some(started) = signals.during_start(Peers::start(&programs)).await else { return Ok(()) };
        let started = started?;
        started.configure(&mut config);
        // Again, with the addresses and the credentials of the peers.
        material = Material::read(&config, Purpose::Any)?;
        peers = Some(started);
    }
    let shown = peers.as_ref().map(Peers::shown);
    let preparing = prepare(config, material, addresses, exposed, shown);
    let served = match signals.during_start(preparing).await {
        Some(Ok((app, sockets))) => serve(app, sockets, signals).await,
        Some(Err(error)) => Err(error),
        None => Ok(()),
    };
    if let Some(peers) = peers {
        peers.end().await;
    }
    served
}

/// Prepares the server and everything that it needs.
async fn prepare(
    mut config: Config,
    mut material: Material,
    addresses: Vec<SocketAddr>,
    exposed: bool,
    peers: Option<String>,
) -> anyhow::Result<(App, Sockets)> {
    material.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    let (listeners, bound) = bind(&addresses, true).await?;
    let (mutual, mutual_address) = bind_mutual(config.mtls_listen).await?;
    let sockets = Sockets { listeners, mutual };
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    if config.public_url.is_none() {
        config.local_url = bound.first().and_then(|address| format!("{scheme}://{address}").parse().ok());
    }
    data_dir::make(&config.data_dir, |warning| tracing::warn!("{warning}"))?;
    let random = exposed.then(|| uuid::Uuid::new_v4().simple().to_string());
    let password = Password::of_development(random.as_deref().unwrap_or(ADMIN));
    let ahead = is_new(&config).then(|| hash_ahead(&password));
    // The files are written while the database is opened: most of a first start is waiting for the disk.
    let data_dir = config.data_dir.clone();
    let files =
        tokio::task::spawn_blocking(move || write_files(&data_dir, &mut material).map(|files| (files, material)));
    let store = open_store(&config).await?;
    store.migrate(|name| tracing::info!(migration = name, "migrating")).await?;
    let ((keys, token), material) = files.await??;
    check_keys(&store, material.keyring.as_ref()).await?;
    admin_account(&store, exposed, password, ahead).await?;
    if config.messaging_bootstrap.unwrap_or(true) {
        // Before the server is ready, so that the list of tenants does not change by itself afterwards.
        messaging::bootstrap(&Cx::system("messaging.bootstrap", store.clock().clone()), &store).await?;
    }
    let mut app = app(&config, material, store, keys)?;
    app.open_manager = is_open(exposed, config.kubeop_require_auth);
    let beside = Beside { mutual: mutual_address, peers };
    output::tell_secret(welcome(&bound, &beside, config.tls.as_ref(), &token, random.as_deref()).trim_end());
    Ok((app, sockets))
}

/// The socket of the listener that asks for client certificates. A busy port is only a warning.
async fn bind_mutual(configured: Option<SocketAddr>) -> anyhow::Result<(Option<TcpListener>, Option<SocketAddr>)> {
    let address = configured.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, MTLS_PORT)));
    match TcpListener::bind(address).await {
        Ok(socket) => {
            let bound = socket.local_addr()?;
            Ok((Some(socket), Some(bound)))
        }
        Err(error) => {
            tracing::warn!(%address, %error, "skipping the listener for client certificates");
            Ok((None, None))
        }
    }
}

/// The signing keys, and the path of the administrator's token. Creates the files that are missing in the data directory.
fn write_files(data_dir: &Path, material: &mut Material) -> anyhow::Result<(Keys, PathBuf)> {
    let keys = material.keys_or(|| Keys::load_or_create(&dev_key_file(data_dir), None))?;
    let token = write_token(data_dir, &keys)?;
    if material.keyring.is_none() {
        material.keyring = Some(dev_keyring(data_dir)?);
    }
    Ok((keys, token))
}

/// Whether local callers on manager paths need no token: never on a server that other machines can reach.
fn is_open(exposed: bool, require_auth: Option<bool>) -> bool {
    !exposed && require_auth != Some(true)
}

/// Writes a token of the platform administrator to the data directory.
fn write_token(data_dir: &Path, keys: &Keys) -> anyhow::Result<PathBuf> {
    let (role, clock) = (Role::PlatformAdmin, Clock::system());
    let claims = Claims::minted(ADMIN.to_owned(), role, &Surface::ALL, TOKEN_TIME, &clock);
    let path = data_dir.join("admin.jwt");
    // Every start writes a new one, so it need not survive a crash of the machine.
    private_file::write_unsynced(&path, tokens::issue(keys, &claims)?.as_bytes())
        .with_context(|| format!("cannot write {}", setting_file::shown(&path)))?;
    Ok(path)
}

/// The key-encryption key in the data directory, created if it is missing. Of several processes one creates it, and all
/// read it.
fn dev_keyring(data_dir: &Path) -> anyhow::Result<Keyring> {
    let path = dev_kek_file(data_dir);
    private_file::create(&path, format!("{DEV_MARK}\n{}\n", Kek::generate().expose()).as_bytes())
        .with_context(|| format!("cannot write {}", setting_file::shown(&path)))?;
    let kek = read_kek(&Secret::new(path.to_string_lossy().into_owned())).map_err(anyhow::Error::msg)?;
    Ok(Keyring::from(kek))
}

/// The pending hash of the administrator's password, computed while a new database is opened: it takes longer than
/// everything else here.
type Ahead = tokio::task::JoinHandle<Result<String, Error>>;

fn hash_ahead(password: &Password) -> Ahead {
    let password = password.clone();
    tokio::spawn(async move { Passwords::new(1).hash(password).await })
}

/// Creates the administrator's account if there is none. On a server that other machines can reach, it gets a new
/// random password at each start.
async fn admin_account(store: &Store, exposed: bool, password: Password, ahead: Option<Ahead>) -> anyhow::Result<()> {
    let cx = Cx::system("dev", store.clock().clone());
    let passwords = Passwords::new(1);
    if make_admin(store, &cx, &passwords, password.clone(), ahead).await? || !exposed {
        return Ok(());
    }
    identity::set_password(store, &passwords, &cx, None, ADMIN, password).await?;
    Ok(())
}

/// Creates the account; false if it exists, even if another process created it concurrently.
async fn make_admin(
    store: &Store,
    cx: &Cx,
    passwords: &Passwords,
    password: Password,
    ahead: Option<Ahead>,
) -> anyhow::Result<bool> {
    if identity::accounts::exists(store, None, ADMIN).await? {
        return Ok(false);
    }
    let hash = match ahead {
        Some(ahead) => ahead.await??,
        None => passwords.hash(password.clone()).await?,
    };
    let account = NewAccount::login(None, ADMIN, password, Role::PlatformAdmin);
    match store.write(cx, (account, hash), identity::accounts::insert_new).await {
        Ok(_) => Ok(true),
        Err(error) if error.reason == Reason::AccountExists => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What else listens.
struct Beside {
    /// The listener that asks for client certificates.
    mutual: Option<SocketAddr>,
    /// The peers, as they are shown.
    peers: Option<String>,
}

/// Suggests what to try.
fn welcome(
    bound: &[SocketAddr],
    beside: &Beside,
    tls: Option<&TlsFiles>,
    token: &Path,
    password: Option<&str>,
) -> String {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let certificate = tls.map(|files| files.certificate.display());
    let curl = certificate.as_ref().map_or("curl".to_owned(), |path| format!("curl --cacert {path}"));
    let grpcurl = certificate.map_or("grpcurl -plaintext".to_owned(), |path| format!("grpcurl -cacert {path}"));
    // Most documents use port 8080.
    let address = bound.iter().find(|address| address.port() == 8080).or(bound.first()).map(SocketAddr::to_string);
    let address = address.unwrap_or_default();
    let listening: Vec<_> = bound.iter().map(|address| format!("{scheme}://{address}")).collect();
    let token = token.display();
    let mutual = beside.mutual.map(|address| format!("mTLS     https://{address}, for devices and gateways\n"));
    let peers = beside.peers.as_ref().map(|peers| format!("peers    {peers}\n"));
    let beside = [mutual, peers].map(Option::unwrap_or_default).concat();
    let admin = match password {
        Some(password) => format!("account  {ADMIN}, password {password}"),
        None => format!("account  {ADMIN}, password {ADMIN}"),
    };
    format!(
        r#"tenantry is ready: gRPC, gRPC-Web and REST on {listening}
{beside}token    {token} (platform_admin, 24 h)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_server_that_others_can_reach_is_open() {
        assert!(is_open(false, None) && is_open(false, Some(false)) && !is_open(false, Some(true)));
        assert!([None, Some(false), Some(true)].into_iter().all(|require_auth| !is_open(true, require_auth)));
    }
}
