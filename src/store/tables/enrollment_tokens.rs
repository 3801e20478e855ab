//! Enrollment tokens of a tenant.

use sea_orm::{
    Condition, QueryOrder, QuerySelect,
    entity::prelude::*,
    sea_query::{Expr, ExprTrait, IntoCondition},
};

use super::{
    rows::{Rows, TenantRows, TenantTable, WithId},
    tenants,
};
use crate::{
    base::{Cx, EnrolledKind, PageRequest, Result, TenantId, TenantScope},
    store::{
        Db, Exec, Fetch, FetchUpdated, Kept, Pages, Store,
        columns::{Json, Owner, Stamp, TokenKind},
        insert_rows,
        page::page,
    },
};

/// Maximum number of devices in one statement.
const AT_ONCE: usize = 500;

#[derive(Clone, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "enrollment_tokens")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant_id: Owner,
    /// UUIDv7.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: TokenKind,
    /// The purpose; may be empty.
    pub name: String,
    /// The public part of the token; empty for hosts, whose tokens have none.
    pub prefix: String,
    /// SHA-256 of the whole token, in hex.
    pub secret_hash: String,
    /// Any number of times if it is missing.
    pub max_uses: Option<i64>,
    pub use_count: i64,
    /// The user whose devices the token enrolls.
    pub account_id: Option<Uuid>,
    /// The groups of the devices.
    pub group_ids: Json<Vec<Uuid>>,
    /// The pool of the gateways.
    pub pool_id: Option<Uuid>,
    /// The device that the token enrolls again.
    pub device_id: Option<Uuid>,
    pub pre_approved: bool,
    /// Whether the devices are deleted when they have not been seen for a day.
    pub ephemeral: bool,
    /// Subject of the creator.
    pub created_by: String,
    /// The account of the creator.
    pub creator_id: Option<Uuid>,
    pub created_at: Stamp,
    /// Never if it is missing.
    pub expires_at: Option<Stamp>,
    pub last_used_at: Option<Stamp>,
    pub revoked_at: Option<Stamp>,
}

impl std::fmt::Debug for Model {
    /// Omits the digest of the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnrollmentToken").field("id", &self.id).field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl TenantTable for Entity {
    const TENANT: Column = Column::TenantId;
}

impl WithId for Entity {
    const ID: Column = Column::Id;
}

/// Whether a token can be used, or why not. A token that was revoked stays revoked, whatever else is true of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    Active,
    UsedUp,
    Expired,
    Revoked,
}

impl TokenState {
    pub const ALL: [Self; 4] = [Self::Active, Self::UsedUp, Self::Expired, Self::Revoked];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::UsedUp => "used_up",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The same as [`Model::state`], in SQL.
    fn condition(self, now: Stamp) -> Condition {
        let revoked = || Column::RevokedAt.is_not_null();
        let used_up = || {
            let uses = Expr::col(Column::UseCount).gte(Expr::col(Column::MaxUses));
            Column::MaxUses.is_not_null().and(uses)
        };
        let expired = || Column::ExpiresAt.is_not_null().and(Column::ExpiresAt.lte(now));
        match self {
            Self::Revoked => revoked().into_condition(),
            Self::UsedUp => used_up().and(revoked().not()).into_condition(),
            Self::Expired => expired().and(used_up().not()).and(revoked().not()).into_condition(),
            Self::Active => revoked().not().and(used_up().not()).and(expired().not()).into_condition(),
        }
    }
}

impl Model {
    /// Incremented by every use and by the revocation.
    pub fn version(&self) -> i64 {
        1 + self.use_count + i64::from(self.revoked_at.is_some())
    }

    /// The state at a time.
    pub fn state(&self, now: Stamp) -> TokenState {
        if self.revoked_at.is_some() {
            TokenState::Revoked
        } else if self.max_uses.is_some_and(|most| self.use_count >= most) {
            TokenState::UsedUp
        } else if self.expires_at.is_some_and(|end| end <= now) {
            TokenState::Expired
        } else {
            TokenState::Active
        }
    }
}

/// A part of the tokens of a tenant for devices and gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenFilter {
    pub kind: Option<EnrolledKind>,
    /// The state at a time.
    pub state: Option<(TokenState, Stamp)>,
    /// Only those of a creator; the inner `None` has no account, and no tokens.
    pub creator: Option<Option<Uuid>>,
}

impl<'a, C> TenantRows<'a, C> {
    pub fn enrollment_tokens(&self) -> Rows<'a, C, Entity> {
        self.table()
    }
}

impl<C: Db> Rows<'_, C, Entity> {
    /// Inserts tokens.
    pub async fn insert(&self, tokens: Vec<Model>) -> Result<()> {
        insert_rows::<Entity>(self.conn, tokens).await?;
        Ok(())
    }

    /// Uses a token once, in one statement, and returns it as it is after that; none if it cannot be used now. The last use of a token
    /// is given to only one of any number of concurrent callers, whatever they have locked.
    pub async fn use_once(&self, id: Uuid, now: Stamp) -> Result<Option<Model>> {
        let used = self
            .update_many()
            .col_expr(Column::UseCount, Expr::col(Column::UseCount).add(1))
            .col_expr(Column::LastUsedAt, Expr::value(now))
            .filter(Column::Id.eq(id))
            .filter(TokenState::Active.condition(now));
        Ok(used.fetch_updated(self.conn).await?.pop())
    }

    /// A page of the tokens for devices and gateways, oldest first, and the total number.
    pub async fn page(&self, filter: &TokenFilter, request: PageRequest) -> Result<(Vec<Model>, u64)> {
        let wanted = Condition::all()
            .add(match filter.kind {
                Some(kind) => Column::Kind.eq(TokenKind::from(kind)),
                None => Column::Kind.ne(TokenKind::Host),
            })
            .add_option(filter.state.map(|(state, now)| state.condition(now)))
            .add_option(filter.creator.map(|creator| Column::CreatorId.is_in(creator)));
        page(self.select().filter(wanted), Column::Id, request, self.conn).await
    }

    /// Revokes a token, unless it is revoked already.
    pub async fn revoke(&self, id: Uuid, now: Stamp) -> Result<()> {
        self.revoke_if(Column::Id.eq(id), now).await
    }

    /// Revokes the tokens for gateways of a pool.
    pub async fn revoke_of_pool(&self, pool: Uuid, now: Stamp) -> Result<()> {
        self.revoke_if(Column::PoolId.eq(pool), now).await
    }

    /// Revokes the tokens that enroll devices again. Returns those that were not revoked yet.
    pub async fn revoke_of_devices(&self, devices: &[Uuid], now: Stamp) -> Result<Vec<Model>> {
        let mut revoked = Vec::new();
        for some in devices.chunks(AT_ONCE) {
            let of = self
                .update_many()
                .col_expr(Column::RevokedAt, Expr::value(now))
                .filter(Column::DeviceId.is_in(some.iter().copied()))
                .filter(Column::RevokedAt.is_null());
            revoked.extend(of.fetch_updated(self.conn).await?);
        }
        Ok(revoked)
    }

    async fn revoke_if(&self, condition: impl IntoCondition, now: Stamp) -> Result<()> {
        self.update_many()
            .col_expr(Column::RevokedAt, Expr::value(now))
            .filter(condition.into_condition())
            .filter(Column::RevokedAt.is_null())
            .run(self.conn)
            .await?;
        Ok(())
    }
}

impl Store {
    /// The token with this digest. Takes no scope, because who enrolls has only the token.
    pub async fn enrollment_token_by_digest(&self, digest: &str) -> Result<Option<Model>> {
        Ok(Entity::find().filter(Column::SecretHash.eq(digest)).fetch_one(self.read()).await?)
    }

    /// The token for hosts with this digest, if it can be used now and its tenant admits. Takes no scope, as
    /// [`enrollment_token_by_digest`](Self::enrollment_token_by_digest). It is one query whatever is wrong with a token, so that the time
    /// does not say what it is.
    pub async fn usable_host_token(&self, digest: &str, now: Stamp) -> Result<Option<Model>> {
        static TEXT: Kept = Kept::new();
        let query = || {
            Entity::find()
                .filter(Column::SecretHash.eq(digest))
                .filter(Column::Kind.eq(TokenKind::Host))
                .filter(TokenState::Active.condition(now))
                .filter(tenants::is_admitting((Entity, Column::TenantId)))
                .into_model::<Model>()
        };
        let values = [digest.into(), TokenKind::Host.into(), now.into()].into_iter().chain(tenants::admitting());
        Ok(TEXT.fetch_one(self.read(), values.collect(), query).await?)
    }

    /// The tokens of a tenant for hosts, newest first.
    pub async fn host_tokens(&self, cx: &Cx, scope: TenantScope) -> Result<Pages<Model>> {
        let tenant = scope.tenant();
        let query = move |after, limit| of_hosts_query(tenant, after).limit(limit).into_model::<Model>();
        Pages::read(cx, self, |row| row.id, query).await
    }
}

/// The query for the tokens of a tenant for hosts before an id, newest first.
pub fn of_hosts_query(tenant: TenantId, before: Option<Uuid>) -> Select<Entity> {
    let before = before.map(|before| Column::Id.lt(before));
    let query = Entity::find().filter(Column::TenantId.eq(tenant)).filter(Column::Kind.eq(TokenKind::Host));
    query.filter(Condition::all().add_option(before)).order_by_desc(Column::Id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Access;

    fn token() -> Model {
        let scope = TenantScope::grant(&Access::Platform, TenantId::from_uuid(Uuid::nil()), "acme").unwrap();
        Model {
            tenant_id: scope.into(),
            id: Uuid::nil(),
            kind: EnrolledKind::Device.into(),
            name: String::new(),
            prefix: "abcdefgh".to_owned(),
            secret_hash: String::new(),
            max_uses: Some(2),
            use_count: 0,
            account_id: None,
            group_ids: Json(Vec::new()),
            pool_id: None,
            device_id: None,
            pre_approved: true,
            ephemeral: false,
            created_by: "ada".to_owned(),
            creator_id: None,
            created_at: Stamp::from_micros(0),
            expires_at: Some(Stamp::from_micros(10)),
            last_used_at: None,
            revoked_at: None,
        }
    }

    #[test]
    fn the_state_says_why_a_token_cannot_be_used() {
        let at = Stamp::from_micros;
        assert_eq!(token().state(at(9)), TokenState::Active);
        assert_eq!(token().state(at(10)), TokenState::Expired);
        assert_eq!(Model { use_count: 2, ..token() }.state(at(10)), TokenState::UsedUp);
        assert_eq!(Model { use_count: 9, max_uses: None, ..token() }.state(at(9)), TokenState::Active);
        assert_eq!(Model { use_count: 2, revoked_at: Some(at(1)), ..token() }.state(at(10)), TokenState::Revoked);
        assert_eq!(Model { expires_at: None, ..token() }.state(at(1 << 60)), TokenState::Active);
    }
}
