//! The hook for statements.

use std::sync::Arc;

/// Called with the SQL of a statement, without its parameters. BEGIN, COMMIT and savepoints are not reported.
pub type OnStatement = Arc<dyn Fn(&str) + Send + Sync>;
