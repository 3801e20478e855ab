//! The job that advances rotations of keys.

use std::time::Duration;

use super::{Trust, rotation};
use crate::{
    base::{Activator, Result},
    jobs::{Job, Placement, Report, Run, Schedule},
};

/// How often a server looks for a phase that is due: emergencies of other servers are announced as fast.
const PERIOD: Duration = Duration::from_secs(1);

/// Advances rotations whose next phase is due, and announces keys of the installation to all tenants.
#[derive(Debug)]
pub struct AdvanceRotations(Trust);

impl AdvanceRotations {
    pub fn new(trust: &Trust) -> Self {
        Self(trust.clone())
    }
}

impl Job for AdvanceRotations {
    const NAME: &'static str = "key-rotations";
    const PLACEMENT: Placement = Placement::OneServer;

    fn schedule(&self) -> Schedule {
        Schedule::every(PERIOD)
    }

    fn activator(&self) -> Option<Activator> {
        Some(self.0.rotations.clone())
    }

    async fn is_wanted(&self) -> Result<bool> {
        self.0.is_rotation_due().await
    }

    async fn run(&self, run: &Run) -> Result<Report> {
        Ok(Report::batch(self.0.advance_rotations(run).await?, rotation::BATCH))
    }
}
