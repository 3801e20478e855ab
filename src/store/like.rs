//! Patterns for `LIKE`.

use sea_orm::sea_query::LikeExpr;

/// The longest text that is searched for, in bytes. Everything that is searched is shorter, and SQLite refuses patterns of 50,000.
const LONGEST: usize = 4096;

/// Whether a stored name may contain a text. No name contains a control character, and PostgreSQL does not accept a zero byte.
pub fn may_occur(text: &str) -> bool {
    text.len() <= LONGEST && !text.chars().any(char::is_control)
}

/// Matches texts that contain `text` literally.
pub fn holding(text: &str) -> LikeExpr {
    LikeExpr::new(format!("%{}%", literal(text))).escape('\\')
}

/// Matches texts that begin with `text` literally.
pub fn beginning(text: &str) -> LikeExpr {
    LikeExpr::new(format!("{}%", literal(text))).escape('\\')
}

fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
