//! Patterns of `LIKE`.

use sea_orm::sea_query::LikeExpr;

/// The pattern of what holds a text, of which every character is meant.
pub fn holding(text: &str) -> LikeExpr {
    LikeExpr::new(format!("%{}%", literal(text))).escape('\\')
}

/// The pattern of what begins with a text, of which every character is meant.
pub fn beginning(text: &str) -> LikeExpr {
    LikeExpr::new(format!("{}%", literal(text))).escape('\\')
}

fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
