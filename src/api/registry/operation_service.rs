//! `OperationService`: long work that calls have started.

use futures::{Stream, StreamExt, future::Either};
use uuid::Uuid;

use crate::{
    api::{Deps, handlers::registry::v1::operation_service::OperationService, paging, timestamp},
    base::{Cx, Error, Result, TenantRef, error::Reason, ids::read_dashed},
    operations::{self, Filter, Operation, State, Step},
    proto::registry::v1::{
        CancelOperationRequest, CancelOperationResponse, GetOperationRequest, GetOperationResponse,
        ListOperationsRequest, ListOperationsResponse, Operation as OperationMessage, OperationFailure, OperationState,
        OperationStep, WatchOperationsRequest, WatchOperationsResponse,
    },
    streams::{Selection, Watch, WatchScope, in_place},
    tenants,
};

pub struct Operations {
    pub(super) deps: Deps,
}

impl OperationService for Operations {
    async fn list_operations(&self, cx: &Cx, message: ListOperationsRequest) -> Result<ListOperationsResponse> {
        let request = paging::request(cx, &message)?;
        let tenant = match tenant(cx)? {
            Some(tenant) => Some(tenants::present_or_past(cx, &self.deps.store, tenant).await?),
            None => None,
        };
        let filter = Filter { tenant, state: state(message.state)?, kind: message.kind };
        let page = operations::list(cx, &self.deps.store, &filter, request).await?;
        Ok(paging::response(page, |operation| to_proto(&operation)))
    }

    async fn get_operation(&self, cx: &Cx, message: GetOperationRequest) -> Result<GetOperationResponse> {
        let operation = operations::get(cx, &self.deps.store, id(&message.operation_id)).await?;
        Ok(GetOperationResponse { operation: Some(to_proto(&operation)) })
    }

    async fn watch_operations(
        &self,
        cx: &Cx,
        message: WatchOperationsRequest,
    ) -> Result<impl Stream<Item = Result<WatchOperationsResponse>> + Send + 'static> {
        let (streams, store) = (&self.deps.streams, &self.deps.store);
        let scope = match tenant(cx)? {
            Some(tenant) => WatchScope::Tenant(tenants::resolve_any(cx, store, tenant).await?.1),
            None => WatchScope::Platform,
        };
        let only = match &message.operation_id {
            Some(only) => Some(of_scope(operations::get(cx, store, id(only)).await?, scope)?),
            None => None,
        };
        let selection = match &only {
            Some(only) => Selection::one(scope, &shown(only.id)),
            None => scope.into(),
        };
        let place = streams.board.places().take(&cx.caller)?;
        let watch = Watch::open(&streams.operations, selection, message.revision).await?;
        let messages = match &only {
            Some(only) => Either::Left(operations::until_ended(watch.messages(), only.state.is_final())),
            None => Either::Right(watch.messages()),
        };
        let messages = messages.map(|message| message.map(WatchOperationsResponse::from));
        Ok(in_place(messages, place, streams.standing.end_of(cx)))
    }

    async fn cancel_operation(&self, cx: &Cx, message: CancelOperationRequest) -> Result<CancelOperationResponse> {
        let operation = operations::cancel(cx, &self.deps.store, id(&message.operation_id)).await?;
        Ok(CancelOperationResponse { operation: Some(to_proto(&operation)) })
    }
}

/// The tenant of a call; `None` for platform callers that name none.
fn tenant(cx: &Cx) -> Result<Option<&TenantRef>> {
    match cx.tenant() {
        Ok(tenant) => Ok(Some(tenant)),
        Err(_) if cx.caller.is_platform() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The id of an operation. No operation has the nil UUID, which stands for a text that is not an id.
fn id(text: &str) -> Uuid {
    read_dashed(text).unwrap_or_default()
}

fn shown(id: Uuid) -> String {
    id.as_hyphenated().to_string()
}

/// An operation, unless the caller named a tenant that it is not of.
fn of_scope(operation: Operation, scope: WatchScope) -> Result<Operation> {
    match scope.tenant() {
        Some(tenant) if operation.tenant != Some(tenant) => Err(operations::not_found()),
        _ => Ok(operation),
    }
}

/// The state in a filter.
fn state(number: i32) -> Result<Option<State>> {
    let unknown = |_| Error::invalid(Reason::InvalidArgument, "state", "state must be a state of an operation");
    Ok(match OperationState::try_from(number).map_err(unknown)? {
        OperationState::Unspecified => None,
        OperationState::Pending => Some(State::Pending),
        OperationState::Running => Some(State::Running),
        OperationState::Succeeded => Some(State::Succeeded),
        OperationState::Failed => Some(State::Failed),
        OperationState::Cancelling => Some(State::Cancelling),
        OperationState::Cancelled => Some(State::Cancelled),
    })
}

fn state_to_proto(state: State) -> OperationState {
    match state {
        State::Pending => OperationState::Pending,
        State::Running => OperationState::Running,
        State::Succeeded => OperationState::Succeeded,
        State::Failed => OperationState::Failed,
        State::Cancelling => OperationState::Cancelling,
        State::Cancelled => OperationState::Cancelled,
    }
}

pub(super) fn to_proto(operation: &Operation) -> OperationMessage {
    let failure = operation.failure.as_ref().map(|failure| OperationFailure {
        step: operation.failed_step().unwrap_or_default().to_owned(),
        reason: failure.reason.clone(),
        cause: failure.cause.clone(),
    });
    OperationMessage {
        id: shown(operation.id),
        kind: operation.kind.clone(),
        tenant_id: operation.tenant.map(|tenant| tenant.dashed()),
        target: operation.target.clone(),
        requested_by: operation.requested_by.clone(),
        state: state_to_proto(operation.state).into(),
        cancellable: operation.cancellable && !operation.state.is_final(),
        steps: operation.steps.iter().map(step_to_proto).collect(),
        attempts: i32::try_from(operation.attempts).unwrap_or(i32::MAX),
        failure,
        version: operation.version,
        create_time: Some(timestamp(operation.created_at)),
        update_time: Some(timestamp(operation.updated_at)),
        start_time: operation.started_at.map(timestamp),
        next_attempt_time: operation.next_attempt_at.map(timestamp),
        end_time: operation.ended_at.map(timestamp),
    }
}

fn step_to_proto(step: &Step) -> OperationStep {
    OperationStep {
        name: step.name.clone(),
        items: i64::try_from(step.items).unwrap_or(i64::MAX),
        done: step.is_done(),
        done_time: step.done_at().map(timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_reaches_every_state() {
        for known in State::ALL {
            assert_eq!(state(state_to_proto(known).into()).unwrap(), Some(known));
        }
        assert_eq!(state(0).unwrap(), None);
        assert_eq!(state(99).unwrap_err().violations[0].field, "state");
    }
}
