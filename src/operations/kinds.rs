//! The registered kinds of operations.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;

use super::{Operation, OperationKind, StepName, Turn};
use crate::{
    base::{Error, Result},
    jobs::Report,
    store::json,
};

/// The kinds that are registered on a server, by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Kinds(Arc<BTreeMap<&'static str, Arc<dyn AnyKind>>>);

impl Kinds {
    /// Adds a kind.
    #[must_use]
    pub fn with<K: OperationKind>(self, kind: K) -> Self {
        let mut kinds = Arc::unwrap_or_clone(self.0);
        kinds.insert(K::NAME, Arc::new(Known(kind)));
        Self(Arc::new(kinds))
    }

    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// The kind of an operation, if it is registered and has the operation's next step.
    pub(super) fn of(&self, operation: &Operation) -> Option<Arc<dyn AnyKind>> {
        let kind = self.0.get(operation.kind.as_str())?;
        let next = operation.next_step().and_then(|step| operation.steps.get(step));
        next.is_none_or(|step| kind.has_step(&step.name)).then(|| kind.clone())
    }
}

/// An [`OperationKind`] without its associated types.
pub(super) trait AnyKind: Send + Sync {
    fn has_step(&self, name: &str) -> bool;
    /// Does a batch of a step.
    fn step<'t>(&'t self, turn: &'t Turn, name: &'t str) -> BoxFuture<'t, Result<Report>>;
    /// Undoes a batch.
    fn undo<'t>(&'t self, turn: &'t Turn) -> BoxFuture<'t, Result<Report>>;
}

struct Known<K>(K);

impl<K: OperationKind> AnyKind for Known<K> {
    fn has_step(&self, name: &str) -> bool {
        K::Step::find(name).is_some()
    }

    fn step<'t>(&'t self, turn: &'t Turn, name: &'t str) -> BoxFuture<'t, Result<Report>> {
        Box::pin(async move {
            let unknown = || Error::internal(format!("the kind {} has no step {name:?}", K::NAME));
            let step = K::Step::find(name).ok_or_else(unknown)?;
            let input: K::Input = json::from_text(&turn.operation().input)?;
            self.0.step(turn, step, &input).await
        })
    }

    fn undo<'t>(&'t self, turn: &'t Turn) -> BoxFuture<'t, Result<Report>> {
        Box::pin(async move {
            let input: K::Input = json::from_text(&turn.operation().input)?;
            self.0.undo(turn, &input).await
        })
    }
}
