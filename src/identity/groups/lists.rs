//! Lists of groups in requests about other resources.

use uuid::Uuid;

use crate::{
    base::{Error, IdKind, Result, TenantScope, error::Reason},
    store::Tx,
};

/// Maximum number of groups in most lists.
pub const MOST: usize = 500;

/// Parses at most `most` ids of groups and removes duplicates. Errors name `field`.
pub fn ids(field: &str, texts: &[String], most: usize) -> Result<Vec<Uuid>> {
    if texts.len() > most {
        return Err(Error::invalid(Reason::InvalidArgument, field, format!("at most {most} groups at once")));
    }
    let mut ids = Vec::with_capacity(texts.len());
    for text in texts {
        let id = IdKind::Group.read(text).ok_or_else(|| unknown(field))?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Fails with INVALID_ARGUMENT if the tenant does not have one of the groups.
pub async fn require(tx: &Tx, scope: TenantScope, field: &str, ids: &[Uuid]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let existing = tx.tenant(scope).groups().existing(ids).await?;
    if ids.iter().all(|id| existing.contains(id)) { Ok(()) } else { Err(unknown(field)) }
}

fn unknown(field: &str) -> Error {
    Error::invalid(Reason::GroupNotFound, field, "group not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_listed_once() {
        let id = "grp_01J7ST8Z0GFCQ9TCATDDY8V7GF".to_owned();
        assert_eq!(ids("group_ids", &[id.clone(), id.to_lowercase()], MOST).unwrap().len(), 1);
        let refused = ids("group_ids", &["usr_01J7ST8Z0GFCQ9TCATDDY8V7GF".to_owned()], MOST).unwrap_err();
        assert_eq!(refused.violations[0].field, "group_ids");
        assert!(ids("group_ids", &vec![id; 501], MOST).is_err());
    }
}
