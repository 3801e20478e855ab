//! The names of the namespaces of projects in the cluster, from a ledger: derived once, and never used again.

use sea_orm::{EntityTrait, IntoActiveModel, sea_query::OnConflict};
use uuid::Uuid;

use crate::{
    base::{Error, Result, TenantId},
    store::{Exec, Stamp, Tx, tables::project_namespaces},
};

/// Maximum length of a DNS label (RFC 1123).
const MOST: usize = 63;

/// Records a name for the namespace of a new project.
pub(super) async fn reserve(tx: &Tx, tenant: (TenantId, &str), project: (Uuid, &str)) -> Result<String> {
    for name in candidates(tenant.1, project.1, project.0) {
        let row = project_namespaces::Model {
            name: name.clone(),
            tenant_id: tenant.0,
            project_id: project.0,
            created_at: Stamp::from(tx.now()),
        };
        let added = project_namespaces::Entity::insert(row.into_active_model())
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .run(tx.conn())
            .await?;
        if added == 1 {
            return Ok(name);
        }
    }
    Err(Error::internal("no name is free for the namespace of a project"))
}

/// The names to try, in this order: without the id, with its last eight digits, with all of them.
fn candidates(tenant: &str, project: &str, id: Uuid) -> [String; 3] {
    let base = format!("kubeop-{}-{}", plain(tenant), plain(project));
    let hex = id.as_simple().to_string();
    let with = |end: &str| format!("{}-{end}", cut(&base, MOST - 1 - end.len()));
    [cut(&base, MOST).to_owned(), with(&hex[hex.len() - 8..]), with(&hex)]
}

/// A name with only lower-case letters, digits and single dashes between them; `x` if nothing is left.
fn plain(name: &str) -> String {
    let spaced = name.to_ascii_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), " ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    if words.is_empty() { "x".to_owned() } else { words.join("-") }
}

fn cut(name: &str, most: usize) -> &str {
    // The name is ASCII.
    name[..name.len().min(most)].trim_end_matches('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_candidate_is_a_label() {
        let id = Uuid::from_u128(0x0191_f3a4_7c10_7b2e_9d31_5a6b_7c8d_9e0f);
        for (tenant, project) in [
            ("acme", "web"),
            ("ACME.Corp", "W b/\u{fc}"),
            ("___", "\u{1f600}"),
            (&*"t".repeat(100), &*"p".repeat(100)),
            ("a", &*"-".repeat(80)),
        ] {
            for name in candidates(tenant, project, id) {
                let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                assert!(name.len() <= MOST && name.bytes().all(plain), "{name}");
                assert!(name.starts_with("kubeop-") && !name.ends_with('-'), "{name}");
            }
        }
        assert_eq!(candidates("Acme", "Web Main", id)[0], "kubeop-acme-web-main");
        assert_eq!(candidates("acme", "web", id)[1], "kubeop-acme-web-7c8d9e0f");
        assert_eq!(candidates("_", "\u{e9}", id)[0], "kubeop-x-x");
    }

    #[test]
    fn names_that_are_alike_have_different_candidates_with_their_ids() {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (first, second) = (candidates("a-b", "c", one), candidates("a", "b-c", two));
        assert_eq!(first[0], second[0]);
        assert!(first[1] != second[1] && first[2] != second[2]);
    }
}
