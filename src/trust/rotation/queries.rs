//! Reading rotations.

use sea_orm::{ColumnTrait, QueryFilter};

use super::plan::{PhaseAt, phases};
use crate::{
    base::{Cx, Error, IdKind, Page, PageRequest, Result, TenantRef, error::Reason, scope::platform_only},
    store::{
        Fetch,
        columns::KeyUse,
        page::page,
        tables::rotations::{self, Column, Model},
    },
    tenants,
    trust::Trust,
};

/// A rotation of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation(pub(super) Model);

/// A part of the rotations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub key_use: Option<KeyUse>,
    /// Only those that have not ended.
    pub running: bool,
}

impl Rotation {
    pub fn shown_id(&self) -> String {
        IdKind::Rotation.show(self.0.id)
    }

    pub fn row(&self) -> &Model {
        &self.0
    }

    /// Its phases, in their order.
    pub fn phases(&self) -> Vec<PhaseAt> {
        phases(&self.0)
    }
}

impl Trust {
    /// A page of the rotations of a tenant, or of the installation if there is no tenant, oldest first.
    pub async fn rotations(
        &self,
        cx: &Cx,
        tenant: Option<&TenantRef>,
        filter: Filter,
        request: PageRequest,
    ) -> Result<Page<Rotation>> {
        let wanted = sea_orm::Condition::all()
            .add_option(filter.key_use.map(|key_use| Column::KeyUse.eq(key_use)))
            .add_option(filter.running.then(|| Column::EndedAt.is_null()));
        let query = self.rotations_of(cx, tenant).await?.filter(wanted);
        let (rows, total) = page(query, Column::Id, request, self.store.read()).await?;
        Ok(Page::cut(request, rows, total, |row| row.id).map(Rotation))
    }

    /// A rotation of a tenant, or of the installation if there is no tenant. Fails with NOT_FOUND if there is no such rotation.
    pub async fn rotation(&self, cx: &Cx, tenant: Option<&TenantRef>, id: &str) -> Result<Rotation> {
        let not_found = || Error::not_found(Reason::RotationNotFound, "rotation not found");
        let of = self.rotations_of(cx, tenant).await?;
        let id = IdKind::Rotation.read(id).ok_or_else(not_found)?;
        let row = of.filter(Column::Id.eq(id)).fetch_one(self.store.read()).await?;
        row.map(Rotation).ok_or_else(not_found)
    }

    async fn rotations_of(&self, cx: &Cx, tenant: Option<&TenantRef>) -> Result<sea_orm::Select<rotations::Entity>> {
        match tenant {
            Some(tenant) => Ok(rotations::of(Some(tenants::reach(cx, &self.store, tenant).await?.tenant()))),
            None => {
                platform_only(&cx.access)?;
                Ok(rotations::of(None))
            }
        }
    }
}
