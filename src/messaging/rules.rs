//! The rules of names and settings, without a database (messaging contract, sections 4 to 6).

use std::collections::BTreeSet;

use crate::base::{
    Error, Result, TenantName,
    error::Reason,
    names::{MAX_LEN, NotAName, is_dots, is_named_entity},
};

/// Maximum number of entries in a list of clusters or admin roles: more than any installation has, and few enough to
/// read in each call.
pub const MAX_ENTRIES: usize = 1000;
/// Maximum length of an admin role, in characters.
pub const MAX_ROLE: usize = 255;

/// The settings of a tenant in a request: a missing or null list is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InfoInput {
    /// Token subjects that will administer the tenant.
    pub admin_roles: Option<Vec<String>>,
    /// Clusters that it may use.
    pub allowed_clusters: Option<Vec<String>>,
}

/// The settings of a tenant. Both lists are sets: without duplicates, in their original order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantInfo {
    /// Token subjects that administer the tenant.
    pub admin_roles: Vec<String>,
    /// Clusters that it may use.
    pub allowed_clusters: Vec<String>,
}

/// The name of a new tenant. It may look like an id: in the paths of this surface a name comes first.
pub fn tenant_name(name: &str) -> Result<TenantName> {
    name.parse().map_err(|why: NotAName| {
        Error::invalid(Reason::TenantNameInvalid, "tenant", "Tenant name is not valid").caused_by(why)
    })
}

/// The first half of the validation of a tenant's settings: they exist and name clusters. Returns the set of names.
pub fn clusters_named(info: Option<&InfoInput>) -> Result<Vec<String>> {
    let Some(info) = info else {
        return Err(Error::invalid(Reason::TenantInfoMissing, "info", "TenantInfo is null"));
    };
    let Some(clusters) = &info.allowed_clusters else {
        return Err(Error::invalid(Reason::ClustersMissing, "info.allowed_clusters", "Clusters cannot be null"));
    };
    if clusters.is_empty() || clusters.iter().any(|cluster| cluster.chars().all(is_blank)) {
        return Err(Error::precondition(Reason::ClustersBlank, "Clusters cannot be empty or blank"));
    }
    bounded(clusters)
}

/// Whether a character is white space for the contract's product: all white space that is not non-breaking.
fn is_blank(c: char) -> bool {
    c.is_whitespace() && !matches!(c, '\u{85}' | '\u{a0}' | '\u{2007}' | '\u{202f}')
}

/// A list of names as a set, unless it is too long.
pub fn bounded(names: &[String]) -> Result<Vec<String>> {
    if names.len() > MAX_ENTRIES {
        return Err(Error::precondition(Reason::InvalidArgument, "A list has more than 1000 entries"));
    }
    Ok(set(names))
}

/// The second half: every cluster exists. `known` are those that do.
pub fn clusters_exist(clusters: &[String], known: &[String]) -> Result<()> {
    if clusters.iter().all(|cluster| known.contains(cluster)) {
        return Ok(());
    }
    Err(Error::precondition(Reason::ClustersUnknown, "Clusters do not exist"))
}

/// The admin roles as a set; none starts or ends with white space.
pub fn admin_roles(info: &InfoInput) -> Result<Vec<String>> {
    let roles = info.admin_roles.as_deref().unwrap_or_default();
    // The contract's product trims everything up to the space: control characters, but not U+00A0 (section 13).
    let edge = |c: char| c <= ' ';
    if roles.iter().any(|role| role.starts_with(edge) || role.ends_with(edge)) {
        let text = "AdminRoles contains whitespace in the beginning or end.";
        return Err(Error::precondition(Reason::AdminRoleWhitespace, text));
    }
    if roles.iter().any(|role| role.chars().count() > MAX_ROLE) {
        return Err(Error::precondition(Reason::InvalidArgument, "An admin role has more than 255 characters"));
    }
    bounded(roles)
}

/// No namespace of the tenant is on a cluster that the tenant loses. `used` are the names of its namespaces, each with
/// its clusters.
pub fn clusters_free<'a>(
    tenant: &str,
    before: &[String],
    after: &[String],
    used: impl IntoIterator<Item = (&'a str, &'a [String])>,
) -> Result<()> {
    let lost = |cluster: &&String| before.contains(cluster) && !after.contains(cluster);
    for (namespace, clusters) in used {
        if let Some(cluster) = clusters.iter().find(lost) {
            let text = format!(
                "Cannot remove cluster {cluster} from tenant {tenant}: namespace {tenant}/{namespace} still has it as a \
                 replication cluster"
            );
            return Err(Error::precondition(Reason::ClusterInUse, text));
        }
    }
    Ok(())
}

/// Whether a text can be the name of a cluster or namespace: 1 to 255 letters, digits and `_ - = : .`, except `.` and
/// `..`.
pub fn is_entity_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_LEN && is_named_entity(name) && !is_dots(name)
}

/// The name of a new namespace.
pub fn namespace_name(name: &str) -> Result<()> {
    if is_entity_name(name) {
        return Ok(());
    }
    Err(Error::invalid(Reason::NamespaceNameInvalid, "namespace", "Namespace name is not valid"))
}

/// The name of a new cluster.
pub fn cluster_name(name: &str) -> Result<()> {
    if is_entity_name(name) {
        return Ok(());
    }
    Err(Error::invalid(Reason::ClusterNameInvalid, "cluster", "Cluster name is not valid"))
}

/// Removes duplicates and keeps the order: the document's examples do so.
pub fn set(names: &[String]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.iter().filter(|name| seen.insert(name.as_str())).cloned().collect()
}

/// Sorts by UTF-16 code unit, like the contract's product.
pub fn sort_utf16(names: &mut [String]) {
    names.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn info(roles: Option<&[&str]>, clusters: Option<&[&str]>) -> InfoInput {
        InfoInput { admin_roles: roles.map(list), allowed_clusters: clusters.map(list) }
    }

    fn error_of<T>(outcome: Result<T>) -> (Kind, Reason, String) {
        match outcome {
            Ok(_) => (Kind::Ok, Reason::Unspecified, String::new()),
            Err(error) => (error.kind, error.reason, error.to_string()),
        }
    }

    #[test]
    fn names_of_tenants() {
        let id = "t_0191f3a47c107b2e9d315a6b7c8d9e0f";
        for name in ["public", "my-tenant", "a.b:c=d", "Public", "_x", "-a", ".a", "=a", ":a", id, &"x".repeat(255)] {
            assert!(tenant_name(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a&b", "a/b", "a%b", "a@b", "ä", ".", "..", &"x".repeat(256)] {
            let error = tenant_name(name).unwrap_err();
            assert_eq!(
                (error.kind, error.to_string().as_str()),
                (Kind::InvalidArgument, "Tenant name is not valid"),
                "{name}"
            );
            assert_eq!(error.violations[0].field, "tenant");
        }
    }

    #[test]
    fn settings_must_name_clusters() {
        let text = |kind, reason, text: &str| (kind, reason, text.to_owned());
        assert_eq!(
            error_of(clusters_named(None)),
            text(Kind::InvalidArgument, Reason::TenantInfoMissing, "TenantInfo is null")
        );
        assert_eq!(
            error_of(clusters_named(Some(&info(None, None)))),
            text(Kind::InvalidArgument, Reason::ClustersMissing, "Clusters cannot be null")
        );
        for clusters in [&[][..], &[""], &["a", " "], &["\t"]] {
            assert_eq!(
                error_of(clusters_named(Some(&info(None, Some(clusters))))),
                text(Kind::FailedPrecondition, Reason::ClustersBlank, "Clusters cannot be empty or blank")
            );
        }
        assert_eq!(clusters_named(Some(&info(None, Some(&["b", "a", "b"])))).unwrap(), ["b", "a"]);
    }

    #[test]
    fn every_cluster_must_exist() {
        let known = list(&["a", "b"]);
        assert!(clusters_exist(&list(&["b"]), &known).is_ok());
        assert_eq!(
            error_of(clusters_exist(&list(&["a", "global"]), &known)),
            (Kind::FailedPrecondition, Reason::ClustersUnknown, "Clusters do not exist".to_owned())
        );
    }

    #[test]
    fn admin_roles_have_no_space_at_the_edges() {
        assert_eq!(admin_roles(&info(None, None)).unwrap(), Vec::<String>::new());
        assert_eq!(admin_roles(&info(Some(&["ops", "a b", "", "ops"]), None)).unwrap(), ["ops", "a b", ""]);
        assert_eq!(admin_roles(&info(Some(&["\u{a0}a\u{2003}"]), None)).unwrap(), ["\u{a0}a\u{2003}"]);
        for role in [" a", "a ", " ", "\ta", "a\u{1f}", "a\0"] {
            assert_eq!(
                error_of(admin_roles(&info(Some(&[role]), None))),
                (
                    Kind::FailedPrecondition,
                    Reason::AdminRoleWhitespace,
                    "AdminRoles contains whitespace in the beginning or end.".to_owned()
                )
            );
        }
    }

    #[test]
    fn lists_and_their_entries_are_bounded() {
        let many: Vec<String> = (0..=MAX_ENTRIES).map(|number| format!("c{number}")).collect();
        let roles = |roles: &[String]| {
            admin_roles(&InfoInput { admin_roles: Some(roles.to_vec()), allowed_clusters: None }).map_err(|e| e.kind)
        };
        let clusters = |names: &[String]| {
            clusters_named(Some(&InfoInput { admin_roles: None, allowed_clusters: Some(names.to_vec()) }))
        };
        assert!(roles(&many[1..]).is_ok() && clusters(&many[1..]).is_ok());
        assert_eq!(roles(&many).unwrap_err(), Kind::FailedPrecondition);
        assert_eq!(error_of(clusters(&many)).0, Kind::FailedPrecondition);
        assert!(roles(&["ä".repeat(MAX_ROLE)]).is_ok());
        assert_eq!(roles(&["x".repeat(MAX_ROLE + 1)]).unwrap_err(), Kind::FailedPrecondition);
    }

    #[test]
    fn a_cluster_in_use_cannot_be_lost() {
        let (before, used) = (list(&["a", "b"]), list(&["a"]));
        let free = |before: &[String], after: &[&str]| clusters_free("acme", before, &list(after), [("ns", &*used)]);
        assert!(free(&before, &["a"]).is_ok());
        assert!(free(&list(&["b"]), &["c"]).is_ok());
        let text = "Cannot remove cluster a from tenant acme: namespace acme/ns still has it as a replication cluster";
        assert_eq!(error_of(free(&before, &["b"])), (Kind::FailedPrecondition, Reason::ClusterInUse, text.to_owned()));
    }

    #[test]
    fn upper_case_sorts_before_lower_case_and_surrogates_before_the_last_units() {
        let mut names = list(&["b", "a", "B", "\u{ffff}", "\u{10000}"]);
        sort_utf16(&mut names);
        assert_eq!(names, list(&["B", "a", "b", "\u{10000}", "\u{ffff}"]));
    }

    #[test]
    fn names_of_clusters_and_namespaces() {
        assert!(cluster_name("us-west").is_ok() && namespace_name("default").is_ok());
        assert_eq!(error_of(cluster_name("")).2, "Cluster name is not valid");
        assert_eq!(error_of(namespace_name("a/b")).2, "Namespace name is not valid");
        for name in [".", "..", &"x".repeat(256)] {
            assert_eq!(error_of(namespace_name(name)).0, Kind::InvalidArgument, "{name}");
            assert_eq!(error_of(cluster_name(name)).0, Kind::InvalidArgument, "{name}");
        }
        for name in ["-a", ".a", "...", &"x".repeat(255)] {
            assert!(cluster_name(name).is_ok() && namespace_name(name).is_ok(), "{name}");
        }
    }
}
