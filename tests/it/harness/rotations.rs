//! Rotations of keys in a database, as they are some time later.

use sea_orm::{
    ConnectionTrait, DatabaseConnection,
    sea_query::{Expr, ExprTrait, Query},
};

/// Moves the times of all rotations back, as if this time had passed.
pub async fn age(db: &DatabaseConnection, by: std::time::Duration) {
    let micros = i64::try_from(by.as_micros()).unwrap();
    let mut update = Query::update();
    update.table("rotations");
    for column in ["published_at", "activate_at", "retire_at", "remove_at", "due_at", "updated_at"] {
        update.value(column, Expr::col(column).sub(micros));
    }
    db.execute(&update).await.unwrap();
}
