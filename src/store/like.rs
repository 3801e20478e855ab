//! Patterns of `LIKE`.

use sea_orm::sea_query::LikeExpr;

/// The pattern of what holds a text, of which every character is meant.
pub fn holding(text: &str) -> LikeExpr {
    let literal = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    LikeExpr::new(format!("%{literal}%")).escape('\\')
}
