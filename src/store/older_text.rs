//! Normalizes text that older versions stored as it was typed, and fills the columns for searching accounts and
//! for sorting tenants.
//!
//! Servers do this in the background, at start and then hourly, instead of the migrations that add the columns:
//! a migration would lock rows that servers of the previous version use, and those servers keep writing such
//! rows. Until a row is converted, name comparisons also use its other columns. Nobody loses access and
//! accounts are never merged: if several rows would get the same key, the oldest gets it, and the others keep
//! their current keys, by which they are also found.

use std::time::Duration;

use sea_orm::{
    DbErr, ExprTrait,
    prelude::Uuid,
    sea_query::{Expr, LockType, Order, Query, SelectStatement},
};

use super::{
    Db, Store, Tx, execute,
    query::{Record, records},
};
use crate::base::{Result, text as people};

/// Number of rows read at a time.
const PAGE: u64 = 500;
/// Number of rows changed in one transaction: few, so that locks are short.
const BATCH: usize = 50;
/// Delay after each transaction.
const PAUSE: Duration = Duration::from_millis(20);

/// Tables with user-supplied text.
#[derive(Clone, Copy)]
enum Rows {
    Accounts,
    Identities,
    Groups,
    Tenants,
    ApiKeys,
}

/// The changed columns of a row.
type Change = Vec<(&'static str, String)>;

/// Examines all rows and converts those of older versions. Returns their number.
pub async fn renew(store: &Store) -> Result<u64> {
    let (mut changed, mut failed) = (0, None);
    // Tenants first, because the order of lists depends on them.
    for rows in [Rows::Tenants, Rows::Accounts, Rows::Identities, Rows::Groups, Rows::ApiKeys] {
        match renew_table(store, rows).await {
            Ok(rows) => changed += rows,
            // A failure does not stop the other tables.
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(changed), Err)
}

/// Converts a table, oldest rows first.
async fn renew_table(store: &Store, rows: Rows) -> Result<u64> {
    let (mut changed, mut last) = (0, None);
    loop {
        let page = records(store.read(), &rows.page(last.as_ref())?).await?;
        let mut older = Vec::new();
        for row in &page {
            if !rows.change(store.read(), row).await?.is_empty() {
                older.push(row.get::<Uuid>("id")?);
            }
        }
        for ids in older.chunks(BATCH) {
            changed += rewrite(store, rows, ids.to_vec()).await?;
            tokio::time::sleep(PAUSE).await;
        }
        last = page.into_iter().next_back();
        if last.is_none() {
            return Ok(changed);
        }
        // Leaves room for calls.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Rereads rows with a lock and converts them.
async fn rewrite(store: &Store, rows: Rows, ids: Vec<Uuid>) -> Result<u64> {
    store.maintain("text.renew", (rows, ids), rewrite_in).await
}

async fn rewrite_in(tx: &Tx, (rows, ids): &(Rows, Vec<Uuid>)) -> Result<u64> {
    let held = rows.select().and_where(Expr::col("id").is_in(ids.iter().copied())).lock(LockType::Update).take();
    let mut changed = 0;
    for row in &records(tx.conn(), &held).await? {
        let values = rows.change(tx.conn(), row).await?;
        if !values.is_empty() {
            let same = Expr::col("id").eq(row.get::<Uuid>("id")?);
            let values = values.into_iter().map(|(column, value)| (column, Expr::value(value)));
            let update = Query::update().table(rows.table()).values(values).and_where(same).take();
            execute(tx.conn(), tx.backend().build(&update)).await?;
            changed += 1;
        }
    }
    Ok(changed)
}

impl Rows {
    fn table(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::Identities => "identities",
            Self::Groups => "groups",
            Self::Tenants => "tenants",
            Self::ApiKeys => "api_keys",
        }
    }

    /// The columns to read in addition to the id.
    fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Accounts => &["tenant_id", "username", "email", "email_key", "display_name", "status", "search_key"],
            Self::Identities => &["email_key"],
            Self::Groups => &["tenant_id", "name", "name_key"],
            Self::Tenants => &["name", "display_name", "list_key"],
            Self::ApiKeys => &["tenant_id", "name"],
        }
    }

    /// The columns of the primary key. The last one is the id, which is lower for older rows.
    fn key(self) -> &'static [&'static str] {
        match self {
            Self::Accounts | Self::Identities | Self::Tenants => &["id"],
            Self::Groups | Self::ApiKeys => &["tenant_id", "id"],
        }
    }

    fn select(self) -> SelectStatement {
        let mut query = Query::select();
        query.column("id").columns(self.columns().iter().copied()).from(self.table());
        for column in self.key() {
            query.order_by(*column, Order::Asc);
        }
        query
    }

    /// The rows after `last`.
    fn page(self, last: Option<&Record>) -> Result<SelectStatement, DbErr> {
        let mut query = self.select().limit(PAGE).take();
        if let Some(last) = last {
            let values = self.key().iter().map(|column| last.get::<Uuid>(column).map(Expr::value));
            let columns = self.key().iter().map(|column| Expr::col(*column));
            query.and_where(Expr::tuple(columns).gt(Expr::tuple(values.collect::<Result<Vec<_>, _>>()?)));
        }
        Ok(query)
    }

    /// The changes of a row; empty if it is up to date.
    async fn change<C: Db>(self, db: &C, row: &Record) -> Result<Change, DbErr> {
        match self {
            Self::Accounts => account(db, row).await,
            Self::Identities => identity(db, row).await,
            Self::Groups => group(db, row).await,
            Self::Tenants => tenant(row),
            Self::ApiKeys => Ok(cleaned(row, "name", "key")?.1),
        }
    }
}

async fn account<C: Db>(db: &C, row: &Record) -> Result<Change, DbErr> {
    let text = |column| row.get::<String>(column);
    let maybe = |column| row.get::<Option<String>>(column);
    let (username, shown, filled) = (text("username")?, text("display_name")?, text("search_key")?);
    // The search key of a deleted account is kept, because it contains values that are no longer in the row.
    if text("status")? == "deleted" && !filled.is_empty() {
        return Ok(Vec::new());
    }
    let (email, kept, display_name) = (maybe("email")?, maybe("email_key")?, people::cleaned_name(&shown));
    let mut key = kept.as_deref().and_then(address_key);
    if let Some(wanted) = &key {
        // Names take precedence over addresses, so an address that is another account's name would find that account.
        let (addressed, named) =
            (others(row, "accounts", "email_key", wanted)?, others(row, "accounts", "username_key", wanted)?);
        if taken(db, &addressed).await? || taken(db, &named).await? {
            key = None;
        }
    }
    let address = key.as_deref().or(kept.as_deref()).unwrap_or_default();
    let search_key =
        people::search_key([username.as_str(), email.as_deref().unwrap_or_default(), address, &display_name]);
    let mut change = Vec::new();
    if search_key != filled {
        change.push(("search_key", search_key));
    }
    if display_name != shown {
        change.push(("display_name", display_name));
    }
    change.extend(key.map(|key| ("email_key", key)));
    Ok(change)
}

async fn identity<C: Db>(db: &C, row: &Record) -> Result<Change, DbErr> {
    let kept: String = row.get("email_key")?;
    let Some(key) = address_key(&kept) else { return Ok(Vec::new()) };
    let taken = taken(db, &other("identities", "email_key", &key, row.get("id")?)).await?;
    Ok(if taken { Vec::new() } else { vec![("email_key", key)] })
}

/// Groups whose names become indistinguishable get a number, except the oldest.
async fn group<C: Db>(db: &C, row: &Record) -> Result<Change, DbErr> {
    let (shown, kept): (String, String) = (row.get("name")?, row.get("name_key")?);
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

/// A tenant whose display name becomes empty gets its name as display name.
fn tenant(row: &Record) -> Result<Change, DbErr> {
    let (name, sorted): (String, String) = (row.get("name")?, row.get("list_key")?);
    let (display_name, mut change) = cleaned(row, "display_name", &name)?;
    let list_key = people::search_key([display_name.as_str(), name.as_str()]);
    if list_key != sorted {
        change.push(("list_key", list_key));
    }
    Ok(change)
}

/// The normalized name of a column, and the change to the column.
fn cleaned(row: &Record, column: &'static str, instead: &str) -> Result<(String, Change), DbErr> {
    let shown: String = row.get(column)?;
    let name = or(people::cleaned_name(&shown), instead);
    let change = if name == shown { Vec::new() } else { vec![(column, name.clone())] };
    Ok((name, change))
}

fn or(name: String, instead: &str) -> String {
    if name.is_empty() { instead.to_owned() } else { name }
}

/// The address key by the current rules, if it differs. An address with characters that are refused today is kept.
fn address_key(kept: &str) -> Option<String> {
    let address = people::address(kept).ok()?;
    let (local, domain) = address.rsplit_once('@')?;
    Some(format!("{}@{domain}", people::local_key(local))).filter(|key| key != kept)
}

async fn taken<C: Db>(db: &C, query: &SelectStatement) -> Result<bool, DbErr> {
    Ok(!records(db, query).await?.is_empty())
}

/// Other rows with a key, in the same tenant or on the platform.
fn others(row: &Record, table: &'static str, column: &'static str, key: &str) -> Result<SelectStatement, DbErr> {
    let mut query = other(table, column, key, row.get("id")?);
    let place = Expr::col("tenant_id");
    query.and_where(match row.get::<Option<Uuid>>("tenant_id")? {
        Some(tenant) => place.eq(tenant),
        None => place.is_null(),
    });
    Ok(query)
}

fn other(table: &'static str, column: &'static str, key: &str, id: Uuid) -> SelectStatement {
    let (same, another) = (Expr::col(column).eq(key), Expr::col("id").ne(id));
    Query::select().column("id").from(table).and_where(same).and_where(another).limit(1).take()
}
