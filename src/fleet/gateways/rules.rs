//! What may be done to a gateway in which state.

use crate::{
    base::{Error, Result, error::Reason},
    store::{Stamp, columns::GatewayStatus, tables::GatewayRow},
};

/// What is done to a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Disable,
    Enable,
    Drain {
        /// How long its sessions may continue; 300 if it is not given.
        seconds: Option<i32>,
        /// Whether to drain the last online gateway of a pool, too.
        force: bool,
    },
    Undrain,
    Revoke,
    Delete,
}

/// The gateway after an action that neither revokes nor deletes it. Fails with FAILED_PRECONDITION if it is revoked.
pub(super) fn after(row: &GatewayRow, action: Action, deadline: Option<Stamp>) -> Result<GatewayRow> {
    refuse_revoked(row)?;
    let row = row.clone();
    Ok(match action {
        Action::Disable => GatewayRow { status: GatewayStatus::Disabled, ..row },
        Action::Enable => GatewayRow { status: GatewayStatus::Active, ..row },
        Action::Drain { .. } => GatewayRow { drain_deadline: deadline, ..row },
        Action::Undrain => GatewayRow { drain_deadline: None, ..row },
        Action::Revoke | Action::Delete => row,
    })
}

pub(super) fn refuse_revoked(row: &GatewayRow) -> Result<()> {
    if row.status == GatewayStatus::Revoked {
        let message = "the gateway is revoked and stays so; enroll it as a new gateway";
        return Err(Error::precondition(Reason::EnrolledStateConflict, message));
    }
    Ok(())
}
