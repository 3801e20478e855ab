//! The point read of the hand-written services: the tables of the program with entities of their own.

use sea_orm::{DatabaseConnection, EntityTrait, QueryFilter, entity::prelude::*};
use serde::{Deserialize, Serialize};

mod rows {
    pub mod tenants {
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, DeriveEntityModel)]
        #[sea_orm(table_name = "tenants")]
        pub struct Model {
            #[sea_orm(primary_key, auto_increment = false)]
            pub id: Uuid,
            pub name: String,
            pub name_key: String,
            pub display_name: String,
            pub status: String,
            pub suspended_by: Option<String>,
            pub version: i64,
            pub labels: String,
            pub created_at: i64,
            pub updated_at: i64,
            #[sea_orm(has_one)]
            pub messaging: HasOne<super::messaging_tenants::Entity>,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }

    pub mod messaging_tenants {
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, DeriveEntityModel)]
        #[sea_orm(table_name = "messaging_tenants")]
        pub struct Model {
            #[sea_orm(primary_key, auto_increment = false)]
            pub tenant_id: Uuid,
            pub admin_roles: String,
            pub allowed_clusters: String,
            #[sea_orm(belongs_to, from = "tenant_id", to = "id")]
            pub tenant: HasOne<super::tenants::Entity>,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }
}

/// The settings of a tenant, as the messaging surface shows them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantInfo {
    pub admin_roles: Vec<String>,
    pub allowed_clusters: Vec<String>,
}

/// The settings in two columns.
pub fn info(admin_roles: &str, allowed_clusters: &str) -> Option<TenantInfo> {
    let list = |text: &str| serde_json::from_str(text).ok();
    Some(TenantInfo { admin_roles: list(admin_roles)?, allowed_clusters: list(allowed_clusters)? })
}

/// Reads a tenant with SeaORM over sqlx: its settings and its version.
pub async fn read_orm(db: &DatabaseConnection, name: &str) -> Option<(TenantInfo, i64)> {
    let (tenant, facet) = rows::tenants::Entity::find()
        .filter(rows::tenants::Column::NameKey.eq(name.to_ascii_lowercase()))
        .find_also_related(rows::messaging_tenants::Entity)
        .one(db)
        .await
        .ok()??;
    let facet = facet?;
    Some((info(&facet.admin_roles, &facet.allowed_clusters)?, tenant.version))
}
