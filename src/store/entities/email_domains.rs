//! Email domains whose identities may be granted a role in a tenant.

use sea_orm::entity::prelude::*;

use crate::{
    base::error::Reason,
    store::{Stamp, unique::Unique},
};

/// The unique indexes whose violations callers see.
pub(in crate::store) const UNIQUE: &[Unique] = &[Unique {
    index: "email_domains_domain_unique",
    columns: "email_domains.tenant_id, email_domains.domain",
    reason: Reason::EmailDomainExists,
    message: "the tenant already has that email domain",
}];

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "email_domains")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Uuid,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The domain, in lower case and punycode.
    pub domain: String,
    pub created_at: Stamp,
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
