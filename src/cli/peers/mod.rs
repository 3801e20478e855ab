//! The servers that `tenantry dev --with-peers` starts beside itself: a PostgreSQL for the databases of tenants, and an OpenBAO.
//!
//! Both listen on loopback only, and their data ends with them. A shell runs each of them (`peer.sh`); it ends the server and removes its
//! directory when the pipe from this process is closed, so also if this process is killed.

mod openbao;
mod process;
mod programs;

use uuid::Uuid;

pub(super) use self::programs::Programs;
use self::{
    openbao::Api,
    process::{Plan, Process},
    programs::Runner,
};
use super::{
    Usage,
    config::{Config, Layers},
};
use crate::{
    base::Secret,
    openbao::{Address, Credential},
};

/// The settings that name the peers, with values that are valid until the peers have started.
const SETTINGS: [(&str, &str); 3] = [
    ("provisioner_url", "postgres://provisioner@127.0.0.1/postgres"),
    ("openbao_addr", "http://127.0.0.1:8200"),
    ("openbao_token", "starting"),
];
/// Others that cannot be used with them.
const FOREIGN: [&str; 6] = [
    "openbao_token_file",
    "openbao_role_id",
    "openbao_secret_id_file",
    "openbao_wrapped_secret_id_file",
    "openbao_namespace",
    "openbao_ca_file",
];
/// The setting that lets administrators use the peers, on unless it is set.
const SELF_SERVICE: &str = "self_service_provisioning";
/// The login that creates roles and databases.
const LOGIN: &str = "provisioner";

/// The settings of a server with peers. Fails if those of other servers are set.
pub(super) fn settings(layers: &Layers) -> Result<Vec<(&'static str, String)>, Usage> {
    let others = SETTINGS.iter().map(|(key, _)| *key).chain(FOREIGN);
    if others.into_iter().any(|key| layers.is_set(key)) {
        return Err(Usage(
            "--with-peers starts servers of its own; it cannot be used with TENANTRY_PROVISIONER_URL and the settings of OpenBAO",
        ));
    }
    let mut own: Vec<_> = SETTINGS.map(|(key, value)| (key, value.to_owned())).into();
    if !layers.is_set(SELF_SERVICE) {
        own.push((SELF_SERVICE, "true".to_owned()));
    }
    Ok(own)
}

/// The running servers. They end when this is dropped.
pub(super) struct Peers {
    postgres: Process,
    version: u32,
    url: Secret<String>,
    openbao: Process,
    address: Address,
    token: Secret<String>,
}

impl Peers {
    /// Starts the servers, and creates the credentials with which this one uses them.
    pub async fn start(programs: &Programs) -> anyhow::Result<Self> {
        let (directory, version) = &programs.postgres;
        let password = Uuid::new_v4().simple().to_string();
        let postgres = Plan {
            name: "PostgreSQL",
            kind: "postgres",
            program: directory,
            runner: Runner::NotRoot,
            secret: &password,
        };
        let openbao =
            Plan { name: "OpenBAO", kind: "openbao", program: &programs.openbao, runner: Runner::Own, secret: "" };
        let (postgres, openbao) = tokio::try_join!(
            Process::start(postgres, async |process| accepts_connections(process)),
            Process::start(openbao, async |process| match api(process) {
                Ok(api) => api.health().await.is_some(),
                Err(_) => false,
            }),
        )?;
        let token = api(&openbao)?.set_up().await?;
        let url = Secret::new(format!("postgres://{LOGIN}:{password}@127.0.0.1:{}/postgres", postgres.port()));
        let address = base(&openbao).parse()?;
        tracing::info!(postgres = postgres.port(), openbao = openbao.port(), "started PostgreSQL and OpenBAO");
        Ok(Self { postgres, version: *version, url, openbao, address, token })
    }

    /// Sets the servers in a configuration with [`settings`].
    pub fn configure(&self, config: &mut Config) {
        config.provisioner_url = Some(self.url.clone());
        if let Some(openbao) = &mut config.openbao {
            openbao.address = self.address.clone();
            openbao.credential = Credential::Token(self.token.clone());
        }
    }

    /// Where the servers listen.
    pub fn shown(&self) -> String {
        let Self { postgres, version, openbao, .. } = self;
        format!(
            "PostgreSQL {version} on 127.0.0.1:{}, OpenBAO on {}; both end with the server",
            postgres.port(),
            base(openbao)
        )
    }

    /// Ends the servers, and waits for that.
    pub async fn end(self) {
        tokio::join!(self.postgres.end(), self.openbao.end());
    }
}

/// Whether PostgreSQL accepts connections: the eighth line of its lock file says so.
fn accepts_connections(postgres: &Process) -> bool {
    let lock = postgres.file("data/postmaster.pid").unwrap_or_default();
    lock.lines().nth(7).is_some_and(|status| status.trim() == "ready")
}

fn base(openbao: &Process) -> String {
    format!("http://127.0.0.1:{}", openbao.port())
}

fn api(openbao: &Process) -> anyhow::Result<Api> {
    Api::at(base(openbao))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(env: &[(&str, &str)]) -> Option<Vec<(&'static str, String)>> {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let found = Config::read(&[], env.clone().into_iter(), None);
        let own = settings(&found.layers).ok()?;
        assert!(Config::read(&own, env.into_iter(), None).usable().is_ok());
        Some(own)
    }

    #[test]
    fn the_settings_of_other_servers_are_refused() {
        assert_eq!(own(&[]).unwrap().last().unwrap(), &(SELF_SERVICE, "true".to_owned()));
        // Without the peers, this one is refused.
        assert_eq!(
            own(&[("TENANTRY_SUSPEND_DISCONNECTS", "true"), ("TENANTRY_OPENBAO_TIMEOUT", "2s")]).unwrap().len(),
            4
        );
        assert_eq!(own(&[("TENANTRY_SELF_SERVICE_PROVISIONING", "false")]).unwrap().len(), 3);
        for (name, value) in [
            ("TENANTRY_PROVISIONER_URL", "postgres://p@h/postgres"),
            ("TENANTRY_OPENBAO_ADDR", "http://127.0.0.1:1"),
            ("TENANTRY_OPENBAO_TOKEN", "t"),
            ("TENANTRY_OPENBAO_ROLE_ID", "r"),
            ("TENANTRY_OPENBAO_CA_FILE", "ca.pem"),
        ] {
            assert_eq!(own(&[(name, value)]), None, "{name}");
        }
    }
}
