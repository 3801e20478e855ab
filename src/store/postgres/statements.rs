//! The prepared statements of a connection.

use std::collections::HashMap;

use tokio_postgres::{Statement, types::Type};

/// Prepared statements by their texts, up to a number.
pub(super) struct Statements {
    most: usize,
    /// Increases with each use.
    clock: u64,
    known: HashMap<String, (Statement, u64)>,
}

impl Statements {
    pub fn new(most: usize) -> Self {
        Self { most, clock: 0, known: HashMap::new() }
    }

    /// Whether statements are prepared at all.
    pub fn are_kept(&self) -> bool {
        self.most > 0
    }

    /// The statement with a text and these types of parameters.
    pub fn find(&mut self, sql: &str, types: &[Type]) -> Option<Statement> {
        self.clock += 1;
        let (statement, used) = self.known.get_mut(sql).filter(|(statement, _)| statement.params() == types)?;
        *used = self.clock;
        Some(statement.clone())
    }

    /// Keeps a statement, instead of the one that was not used for longest if there are too many. The server forgets a
    /// statement that is dropped.
    pub fn keep(&mut self, sql: String, statement: Statement) {
        if self.known.len() >= self.most && !self.known.contains_key(&sql) {
            let oldest = self.known.iter().min_by_key(|(_, (_, used))| *used).map(|(sql, _)| sql.clone());
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
        self.known.insert(sql, (statement, self.clock));
    }
}
