//! The policy of the platform for every project: registries, networks and ceilings (manager contract, section 7).

use ipnet::IpNet;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Unchanged, EntityTrait, IntoActiveModel, QuerySelect, sea_query::OnConflict,
};
use serde_json::{Value, json};

use super::{quantities::is_quantity, registries::Registry};
use crate::{
    base::{Cx, Error, Result, error::Reason},
    store::{
        Change, ChangeKind, Db, Exec, Fetch, Resource, Stamp, Store, Tx, UpdateRow,
        columns::Json,
        tables::platform_policies::{ActiveModel, Entity, Model},
    },
};

/// The name of the policy.
const NAME: &str = "default";
/// Most entries of a list, which is that of the resource in the cluster.
const MOST: usize = 64;

/// The policy. By default it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub image_allowlist: Vec<String>,
    pub egress_baseline: Vec<String>,
    pub max_requests_cpu: Option<String>,
    pub max_requests_memory: Option<String>,
}

impl From<Model> for Policy {
    fn from(row: Model) -> Self {
        Self {
            image_allowlist: row.image_allowlist.0,
            egress_baseline: row.egress_baseline.0,
            max_requests_cpu: row.max_requests_cpu,
            max_requests_memory: row.max_requests_memory,
        }
    }
}

impl Policy {
    /// The policy in the form in which it is compared. Fails for anything that is not a registry, a network or a quantity.
    fn checked(self) -> Result<Self> {
        let registry = |text: &str| text.parse::<Registry>().ok().map(|registry| registry.as_str().to_owned());
        let network = |text: &str| text.trim().parse::<IpNet>().ok().filter(|net| net.trunc() == *net);
        let quantity = |field: &str, text: Option<String>| match text.filter(|text| !text.is_empty()) {
            Some(text) if !is_quantity(&text) => Err(Error::invalid(
                Reason::InvalidArgument,
                field,
                format!("{field} must be a quantity such as 500m or 8Gi"),
            )),
            text => Ok(text),
        };
        Ok(Self {
            image_allowlist: each(
                "image_allowlist",
                &self.image_allowlist,
                "imageAllowlist must list registries such as ghcr.io or registry.example.com:5000",
                registry,
            )?,
            egress_baseline: each(
                "egress_baseline",
                &self.egress_baseline,
                "egressBaseline must list networks such as 10.0.0.0/8",
                |text| network(text).map(|net| net.to_string()),
            )?,
            max_requests_cpu: quantity("quotaMax.requestsCPU", self.max_requests_cpu)?,
            max_requests_memory: quantity("quotaMax.requestsMemory", self.max_requests_memory)?,
        })
    }

    fn details(&self) -> Value {
        json!({
            "image_allowlist": self.image_allowlist,
            "egress_baseline": self.egress_baseline,
            "max_requests_cpu": self.max_requests_cpu,
            "max_requests_memory": self.max_requests_memory,
        })
    }
}

/// Converts the entries of a list, and omits repeated ones.
fn each(
    field: &str,
    texts: &[String],
    rule: &'static str,
    read: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>> {
    let mut entries = Vec::new();
    for text in texts {
        let entry = read(text).ok_or_else(|| Error::invalid(Reason::InvalidArgument, field, rule))?;
        if !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    if entries.len() > MOST {
        let text = format!("a list must have at most {MOST} entries");
        return Err(Error::invalid(Reason::InvalidArgument, field, text));
    }
    Ok(entries)
}

/// The policy; the default one before it was set.
pub async fn get(store: &Store) -> Result<Policy> {
    Ok(Entity::find_by_id(NAME).fetch_one(store.read()).await?.map(Policy::from).unwrap_or_default())
}

/// The registries of the policy.
pub(super) async fn allowlist(conn: &impl Db) -> Result<Vec<String>> {
    Ok(Entity::find_by_id(NAME).fetch_one(conn).await?.map(|row| row.image_allowlist.0).unwrap_or_default())
}

/// Replaces the policy.
pub async fn replace(cx: &Cx, store: &Store, policy: Policy) -> Result<()> {
    store.write(cx, policy.checked()?, write).await
}

async fn write(tx: &Tx, policy: &Policy) -> Result<()> {
    let first = Model {
        name: NAME.to_owned(),
        image_allowlist: Json::default(),
        egress_baseline: Json::default(),
        max_requests_cpu: None,
        max_requests_memory: None,
        generation: 0,
        observed_generation: 0,
        observed: None,
        updated_at: Stamp::from(tx.now()),
    };
    Entity::insert(first.into_active_model())
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .run(tx.conn())
        .await?;
    let current = Entity::find_by_id(NAME).lock_exclusive().fetch_one(tx.conn()).await?;
    let current = current.ok_or_else(|| Error::internal("the policy of the platform disappeared"))?;
    if current.generation > 0 && Policy::from(current.clone()) == *policy {
        tx.audit_only(None, NAME, Value::Null);
        return Ok(());
    }
    let next = Model {
        image_allowlist: Json(policy.image_allowlist.clone()),
        egress_baseline: Json(policy.egress_baseline.clone()),
        max_requests_cpu: policy.max_requests_cpu.clone(),
        max_requests_memory: policy.max_requests_memory.clone(),
        generation: current.generation + 1,
        updated_at: Stamp::from(tx.now()),
        ..current
    };
    let generation = next.generation;
    let row = ActiveModel { name: Unchanged(NAME.to_owned()), ..next.into_active_model().reset_all() };
    row.update_row(tx.conn()).await?;
    let change = Change::new(Resource::PlatformPolicy, ChangeKind::Updated, NAME).at(generation);
    tx.changed(change, NAME, policy.details());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(registries: &[&str], networks: &[&str], cpu: &str) -> Result<Policy> {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        let (image_allowlist, egress_baseline) = (texts(registries), texts(networks));
        Policy { image_allowlist, egress_baseline, max_requests_cpu: Some(cpu.to_owned()), max_requests_memory: None }
            .checked()
    }

    #[test]
    fn a_policy_is_stored_in_the_form_that_is_compared() {
        let policy = checked(&[" GHCR.io", "ghcr.io", "index.docker.io"], &["10.0.0.0/8", "FD00::/8"], "").unwrap();
        assert_eq!(policy.image_allowlist, ["ghcr.io", "docker.io"]);
        assert_eq!(policy.egress_baseline, ["10.0.0.0/8", "fd00::/8"]);
        assert_eq!(policy.max_requests_cpu, None);
    }

    #[test]
    fn a_policy_with_something_else_is_refused() {
        let many: Vec<_> = (0..65).map(|n| format!("r{n}.example")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let cases: [(&[&str], &[&str], &str); 10] = [
            (&["*"], &[], ""),
            (&["ghcr.io/acme"], &[], ""),
            (&[""], &[], ""),
            (&many, &[], ""),
            (&[], &["10.0.0.1/8"], ""),
            (&[], &["10.0.0.0"], ""),
            (&[], &["10.0.0.0/33"], ""),
            (&[], &["everything"], ""),
            (&[], &[], "four"),
            (&[], &[], "-1"),
        ];
        for (registries, networks, cpu) in cases {
            assert!(checked(registries, networks, cpu).is_err(), "{registries:?} {networks:?} {cpu}");
        }
    }
}
