//! The policies of a namespace: from the request to the stored form, and back to the response.

use std::collections::BTreeSet;

use prost::Message as _;
use prost_types::ListValue;

use super::{bundles, document, policy_rules, rules};
use crate::{
    base::{Error, Result, error::Reason, words::quoted},
    proto::messaging::v2::{AuthPolicies, BacklogQuota},
    store::tables::NamespaceRow,
};

pub use crate::proto::messaging::v2::NamespacePolicies;

/// Maximum number of clusters in an error.
const SHOWN: usize = 5;
/// The default cluster of a namespace: the one that always exists.
const LOCAL: &str = "standalone";

/// The stored form of policies: validated, sets without duplicates, and members with two names under both. `namespace`
/// is the full name.
pub fn checked(namespace: &str, policies: &NamespacePolicies) -> Result<NamespacePolicies> {
    policy_rules::check(policies)?;
    let mut kept = policies.clone();
    kept.replication_clusters = rules::bounded(&kept.replication_clusters)?;
    kept.allowed_clusters = rules::bounded(&kept.allowed_clusters)?;
    kept.subscription_types_enabled = rules::bounded(&kept.subscription_types_enabled)?;
    kept.bundles = kept.bundles.as_ref().map(bundles::checked).transpose()?.flatten();
    for (kind, quota) in &mut kept.backlog_quota_map {
        policy_rules::backlog_quota(namespace, kind, quota)?;
        *quota = whole_quota(quota);
    }
    // Only false is accepted, and it is the default.
    kept.offload_policies = None;
    if let Some(auth) = &mut kept.auth_policies {
        let lists = auth.namespace_auth.values_mut().chain(auth.subscription_auth_roles.values_mut());
        let by_topic = auth.destination_auth.values_mut().flat_map(|roles| roles.fields.values_mut());
        lists.for_each(unique);
        by_topic.for_each(|value| {
            if let Some(prost_types::value::Kind::ListValue(list)) = &mut value.kind {
                unique(list);
            }
        });
    }
    Ok(kept)
}

/// The clusters of a namespace: those of the request, which the tenant must be allowed to use, or one of the tenant's.
/// `allowed` are the tenant's clusters, `known` the existing ones.
pub fn replication_clusters(
    tenant: &str,
    policies: &NamespacePolicies,
    allowed: &[String],
    known: &[String],
) -> Result<Vec<String>> {
    let may_use = |cluster: &&String| allowed.contains(cluster) && known.contains(cluster);
    let named = policies.replication_clusters.iter().chain(&policies.allowed_clusters);
    if let Some(cluster) = named.into_iter().find(|cluster| !may_use(cluster)) {
        let cluster = quoted(cluster);
        let text = format!("Cluster [{cluster}] is not in the list of allowed clusters list for tenant [{tenant}]");
        return Err(Error::precondition(Reason::ClusterNotAllowed, text));
    }
    let clusters = match policies.replication_clusters.as_slice() {
        [] => default_cluster(allowed, known).into_iter().collect(),
        given => given.to_vec(),
    };
    let own = &policies.allowed_clusters;
    if !own.is_empty() && clusters.iter().any(|cluster| !own.contains(cluster)) {
        let named: Vec<_> = clusters.iter().take(SHOWN).map(|cluster| quoted(cluster)).collect();
        let more = if clusters.len() > SHOWN { ", ..." } else { "" };
        let text = format!(
            "Allowed clusters do not contain the replication cluster [{}{more}]. Please remove the replication cluster if the \
             cluster is not allowed for this namespace",
            named.join(", ")
        );
        return Err(Error::invalid(Reason::PolicyInvalid, "policies.allowed_clusters", text));
    }
    Ok(clusters)
}

/// The stored text of validated policies. The replication clusters have their own column.
pub fn to_text(policies: &NamespacePolicies) -> Result<String> {
    document::to_text("policies", &NamespacePolicies { replication_clusters: Vec::new(), ..policies.clone() })
}

/// The policies of a stored namespace, with the defaults of the contract's product (section 13).
pub fn to_proto(row: &NamespaceRow) -> Result<NamespacePolicies> {
    let mut policies: NamespacePolicies = document::from_text(&row.policies)?;
    policies.replication_clusters.clone_from(&row.replication_clusters);
    policies.auth_policies.get_or_insert_with(AuthPolicies::default);
    policies.bundles = Some(bundles::whole(policies.bundles.as_ref()));
    policies.subscription_auth_mode.get_or_insert_with(|| "None".to_owned());
    policies.schema_compatibility_strategy.get_or_insert_with(|| "UNDEFINED".to_owned());
    policies.is_allow_auto_update_schema.get_or_insert(true);
    policies.offload_threshold.get_or_insert(-1);
    policies.offload_threshold_in_seconds.get_or_insert(-1);
    Ok(policies)
}

fn default_cluster(allowed: &[String], known: &[String]) -> Option<String> {
    let usable = || allowed.iter().filter(|cluster| known.contains(cluster));
    usable().find(|cluster| *cluster == LOCAL).or_else(|| usable().next()).cloned()
}

/// A quota with its size under both names.
fn whole_quota(quota: &BacklogQuota) -> BacklogQuota {
    let size = quota.limit_size.or(quota.limit).unwrap_or_default();
    BacklogQuota {
        limit: Some(size),
        limit_size: Some(size),
        limit_time: Some(quota.limit_time.unwrap_or_default()),
        policy: quota.policy.clone(),
    }
}

/// Removes duplicates from a list, which may be as long as a message. Equal values have the same encoding.
fn unique(list: &mut ListValue) {
    let mut seen = BTreeSet::new();
    list.values.retain(|value| seen.insert(value.encode_to_vec()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_a_few_clusters() {
        let clusters: Vec<_> = (0..30).map(|number| format!("{number}{}", "x".repeat(250))).collect();
        let policies = NamespacePolicies {
            replication_clusters: clusters.clone(),
            allowed_clusters: list(&["standalone"]),
            ..NamespacePolicies::default()
        };
        let known: Vec<_> = clusters.into_iter().chain(list(&["standalone"])).collect();
        let error = replication_clusters("acme", &policies, &known, &known).unwrap_err();
        assert!(error.to_string().len() < 2000 && error.to_string().contains(", ...]"), "{error}");
    }

    #[test]
    fn roles_are_listed_once_however_many_there_are() {
        let text = |number: usize| prost_types::Value {
            kind: Some(prost_types::value::Kind::StringValue(format!("r{number}"))),
        };
        let mut roles = ListValue { values: (0..100_000).chain([7, 99_999]).map(text).collect() };
        unique(&mut roles);
        assert_eq!(roles.values.len(), 100_000);
        assert_eq!(roles.values[7], text(7));
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn on(replication: &[&str], own: &[&str]) -> NamespacePolicies {
        NamespacePolicies {
            replication_clusters: list(replication),
            allowed_clusters: list(own),
            ..NamespacePolicies::default()
        }
    }

    #[test]
    fn a_namespace_has_only_clusters_that_its_tenant_may_use() {
        let (allowed, known) = (list(&["gone", "west", "standalone"]), list(&["standalone", "west", "east"]));
        let held = |policies: &NamespacePolicies| replication_clusters("acme", policies, &allowed, &known);
        assert_eq!(held(&on(&[], &[])).unwrap(), ["standalone"]);
        assert_eq!(held(&on(&["west"], &["standalone", "west"])).unwrap(), ["west"]);
        for bad in [on(&["east"], &[]), on(&["nowhere"], &[]), on(&["gone"], &[]), on(&[], &["east"])] {
            let error = held(&bad).unwrap_err();
            assert_eq!(error.reason, Reason::ClusterNotAllowed);
            assert!(
                error.message.ends_with("] is not in the list of allowed clusters list for tenant [acme]"),
                "{error}"
            );
        }
        assert_eq!(held(&on(&["west"], &["standalone"])).unwrap_err().reason, Reason::PolicyInvalid);
        let elsewhere = replication_clusters("acme", &on(&[], &[]), &list(&["gone", "west"]), &known);
        assert_eq!(elsewhere.unwrap(), ["west"]);
    }

    #[test]
    fn a_quota_has_its_size_under_both_names() {
        let quota = |limit, limit_size| BacklogQuota { limit, limit_size, ..BacklogQuota::default() };
        for (given, size) in [(quota(Some(5), None), 5), (quota(Some(5), Some(6)), 6), (quota(None, None), 0)] {
            let whole = whole_quota(&given);
            assert_eq!((whole.limit, whole.limit_size, whole.limit_time), (Some(size), Some(size), Some(0)));
        }
    }
}
