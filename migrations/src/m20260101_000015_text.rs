//! Names and addresses of people in one normal form, and a column in which accounts are searched.
//!
//! What older versions kept as it was typed is rewritten here by the functions with which the server reads it. Nobody is
//! locked out and no two accounts become one: of rows that now have the same key, the oldest takes it, and the others keep
//! the key that they have, by which the server finds them as well.

use sea_orm::{ConnectionTrait, QueryResult, prelude::Uuid, sea_query::SelectStatement};
use sea_orm_migration::prelude::*;
use tenantry_text as people;

use crate::columns::text;

/// The migration.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Rows that are read at a time.
const BATCH: u64 = 1000;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // With a default for the accounts that an older program makes meanwhile.
        let column = text("search_key").default("").take();
        manager.alter_table(Table::alter().table("accounts").add_column(column).take()).await?;
        let db = manager.get_connection();
        for table in [Rows::Accounts, Rows::Identities, Rows::Groups, Rows::Tenants, Rows::ApiKeys] {
            rewrite(db, table).await?;
        }
        Ok(())
    }
}

/// Tables with text of people.
#[derive(Clone, Copy)]
enum Rows {
    Accounts,
    Identities,
    Groups,
    Tenants,
    ApiKeys,
}

/// What becomes of a row: the columns that change.
type Change = Vec<(&'static str, String)>;

impl Rows {
    /// The table, and the columns that are read besides the id.
    fn read(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Accounts => ("accounts", &["tenant_id", "username", "email", "email_key", "display_name"]),
            Self::Identities => ("identities", &["email_key"]),
            Self::Groups => ("groups", &["tenant_id", "name", "name_key"]),
            Self::Tenants => ("tenants", &["name", "display_name"]),
            Self::ApiKeys => ("api_keys", &["name"]),
        }
    }

    async fn change<C: ConnectionTrait>(self, db: &C, row: &QueryResult) -> Result<Change, DbErr> {
        match self {
            Self::Accounts => account(db, row).await,
            Self::Identities => identity(db, row).await,
            Self::Groups => group(db, row).await,
            // A tenant that has no name for people left has its handle for one.
            Self::Tenants => cleaned(row, "display_name", &row.try_get::<String>("", "name")?),
            Self::ApiKeys => cleaned(row, "name", "key"),
        }
    }
}

/// Rewrites every row of a table, oldest first.
async fn rewrite<C: ConnectionTrait>(db: &C, rows: Rows) -> Result<(), DbErr> {
    let (table, columns) = rows.read();
    let mut last: Option<Uuid> = None;
    loop {
        let mut query = Query::select();
        query.column("id").columns(columns.iter().copied()).from(table).order_by("id", Order::Asc).limit(BATCH);
        if let Some(last) = last {
            query.and_where(Expr::col("id").gt(last));
        }
        let batch = db.query_all(&query).await?;
        let Some(end) = batch.last() else { return Ok(()) };
        last = Some(end.try_get("", "id")?);
        for row in &batch {
            let values = rows.change(db, row).await?;
            if !values.is_empty() {
                let id: Uuid = row.try_get("", "id")?;
                let values = values.into_iter().map(|(column, value)| (column, Expr::value(value)));
                let update = Query::update().table(table).values(values).and_where(Expr::col("id").eq(id)).take();
                db.execute(&update).await?;
            }
        }
    }
}

async fn account<C: ConnectionTrait>(db: &C, row: &QueryResult) -> Result<Change, DbErr> {
    let text = |column| row.try_get::<String>("", column);
    let maybe = |column| row.try_get::<Option<String>>("", column);
    let (username, shown) = (text("username")?, text("display_name")?);
    let (email, kept, display_name) = (maybe("email")?, maybe("email_key")?, people::cleaned_name(&shown));
    let mut key = kept.as_deref().and_then(address_key);
    if let Some(wanted) = &key {
        // A name comes before an address: by one that is another account's name, that one would be found.
        let (addressed, named) =
            (others(row, "accounts", "email_key", wanted)?, others(row, "accounts", "username_key", wanted)?);
        if taken(db, &addressed).await? || taken(db, &named).await? {
            key = None;
        }
    }
    let address = key.as_deref().or(kept.as_deref()).unwrap_or_default();
    let parts = [username.as_str(), email.as_deref().unwrap_or_default(), address, &display_name];
    let mut change = vec![("search_key", people::search_key(parts))];
    if display_name != shown {
        change.push(("display_name", display_name));
    }
    change.extend(key.map(|key| ("email_key", key)));
    Ok(change)
}

async fn identity<C: ConnectionTrait>(db: &C, row: &QueryResult) -> Result<Change, DbErr> {
    let kept: String = row.try_get("", "email_key")?;
    let Some(key) = address_key(&kept) else { return Ok(Vec::new()) };
    let taken = taken(db, &other("identities", "email_key", &key, row.try_get("", "id")?)).await?;
    Ok(if taken { Vec::new() } else { vec![("email_key", key)] })
}

/// Groups with names that cannot be told apart get a number, but the oldest.
async fn group<C: ConnectionTrait>(db: &C, row: &QueryResult) -> Result<Change, DbErr> {
    let (shown, kept): (String, String) = (row.try_get("", "name")?, row.try_get("", "name_key")?);
    let cleaned = or(people::cleaned_name(&shown), "group");
    let mut name = cleaned.clone();
    let mut number = 1;
    while people::fold(&name) != kept && taken(db, &others(row, "groups", "name_key", &people::fold(&name))?).await? {
        number += 1;
        name = format!("{cleaned} ({number})");
    }
    let key = people::fold(&name);
    Ok(if name == shown && key == kept { Vec::new() } else { vec![("name", name), ("name_key", key)] })
}

fn cleaned(row: &QueryResult, column: &'static str, instead: &str) -> Result<Change, DbErr> {
    let shown: String = row.try_get("", column)?;
    let name = or(people::cleaned_name(&shown), instead);
    Ok(if name == shown { Vec::new() } else { vec![(column, name)] })
}

fn or(name: String, instead: &str) -> String {
    if name.is_empty() { instead.to_owned() } else { name }
}

/// The key of an address by today's rules, where it is another one. An address with characters that are refused today
/// stays as it is.
fn address_key(kept: &str) -> Option<String> {
    let address = people::address(kept).ok()?;
    let (local, domain) = address.rsplit_once('@')?;
    Some(format!("{}@{domain}", people::local_key(local))).filter(|key| key != kept)
}

/// Whether there is such a row.
async fn taken<C: ConnectionTrait>(db: &C, query: &SelectStatement) -> Result<bool, DbErr> {
    Ok(db.query_one(query).await?.is_some())
}

/// The rows but this one, in the same tenant or on the platform, that have a key.
fn others(row: &QueryResult, table: &'static str, column: &'static str, key: &str) -> Result<SelectStatement, DbErr> {
    let mut query = other(table, column, key, row.try_get("", "id")?);
    let place = Expr::col("tenant_id");
    query.and_where(match row.try_get::<Option<Uuid>>("", "tenant_id")? {
        Some(tenant) => place.eq(tenant),
        None => place.is_null(),
    });
    Ok(query)
}

fn other(table: &'static str, column: &'static str, key: &str, id: Uuid) -> SelectStatement {
    let (same, another) = (Expr::col(column).eq(key), Expr::col("id").ne(id));
    Query::select().column("id").from(table).and_where(same).and_where(another).limit(1).take()
}
