//! Jobs for messaging.

use super::bootstrap;
use crate::{
    base::{Cx, Result},
    jobs::{Job, Placement, Report, Run, Schedule},
    store::Store,
};

/// Creates the objects that a messaging platform expects on its first start, as soon as the schema exists.
#[derive(Debug)]
pub struct Bootstrap(Store);

impl Bootstrap {
    pub fn new(store: &Store) -> Self {
        Self(store.clone())
    }
}

impl Job for Bootstrap {
    const NAME: &'static str = "messaging-bootstrap";
    const PLACEMENT: Placement = Placement::EveryServer;

    fn schedule(&self) -> Schedule {
        Schedule::once()
    }

    async fn run(&self, _: &Run) -> Result<Report> {
        let cx = Cx::system("messaging.bootstrap", self.0.clock().clone());
        bootstrap(&cx, &self.0).await?;
        Ok(Report::default())
    }
}
