//! Load shedding: as many calls as configured run, and the others are refused immediately.
//!
//! A running call has a permit. A call whose body is still arriving does not work: it has a permit of another kind, of
//! which there are more, and exchanges it for a working one when the body is complete. So slow senders do not block
//! others. Callers without a credential have separate permits: they cannot block callers with one. A call that only
//! waits, such as a login after failures, releases its permit meanwhile. Probes need no permit, so that an overloaded
//! server is not taken for a dead one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::answer::{self, Failure, Head};
use crate::{
    base::{Error, Kind, error::Reason, seat::Seat},
    server::ops,
};

/// How many calls may be arriving for each that may run.
const ARRIVING: usize = 8;
/// The path prefix of gRPC health.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// The available permits.
pub(super) struct Load {
    known: Lane,
    anonymous: Lane,
}

/// The permits of one kind of caller.
#[derive(Clone, Debug)]
struct Lane {
    working: Arc<Semaphore>,
    arriving: Arc<Semaphore>,
}

/// The permit of a call until the head of its response. After that an open stream costs memory, but no work.
#[derive(Debug)]
pub(super) struct Place {
    lane: Lane,
    grpc: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The body is arriving.
    Arriving { _permit: Option<OwnedSemaphorePermit> },
    /// The call is running.
    Working { _permit: Option<OwnedSemaphorePermit> },
    /// The call is complete, and waits for something without working.
    Aside,
    /// The call was complete, or had waited, and there was no free permit.
    Refused,
    /// The body did not arrive in time.
    Stalled,
    /// The head of the response is ready.
    Answered,
}

impl Load {
    pub(super) fn new(most: usize) -> Self {
        Self { known: Lane::new(most), anonymous: Lane::new(most) }
    }

    /// A permit for a call before its caller is known. Callers without a credential are recognized without waiting, so
    /// only callers with one hold these for a longer time.
    pub(super) fn admit(&self, head: &Head) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        if is_probe(&head.path) { Ok(None) } else { self.known.work().map(Some).map_err(|_| busy()) }
    }

    /// The slot of a call after authentication, in exchange for the permit of its admission.
    pub(super) fn place<B: http_body::Body>(
        &self,
        head: &Head,
        request: &Request<B>,
        admitted: Option<OwnedSemaphorePermit>,
        known: bool,
    ) -> Result<Arc<Place>, Failure> {
        let lane = if known { &self.known } else { &self.anonymous };
        let whole = request.body().is_end_stream() || is_read_of_rest(head, request.method());
        let state = match (admitted, whole) {
            (None, true) => State::Working { _permit: None },
            (None, false) => State::Arriving { _permit: None },
            (Some(permit), true) if known => State::Working { _permit: Some(permit) },
            (Some(_), true) => State::Working { _permit: Some(lane.work().map_err(|_| busy())?) },
            (Some(_), false) => State::Arriving { _permit: Some(lane.arrive().map_err(|_| busy())?) },
        };
        Ok(Arc::new(Place { lane: lane.clone(), grpc: head.grpc.is_some(), state: Mutex::new(state) }))
    }
}

impl Lane {
    fn new(most: usize) -> Self {
        let of = |most: usize| Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { working: of(most), arriving: of(most.saturating_mul(ARRIVING)) }
    }

    fn work(&self) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.working.clone().try_acquire_owned()
    }

    fn arrive(&self) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.arriving.clone().try_acquire_owned()
    }
}

impl Place {
    /// Whether the body still has to arrive.
    pub(super) fn is_arriving(&self) -> bool {
        matches!(*self.state(), State::Arriving { .. })
    }

    /// The body is complete. False if there is no free permit: then the call must not continue.
    pub(super) fn work(&self) -> bool {
        let mut state = self.state();
        match &*state {
            State::Arriving { _permit: None } => *state = State::Working { _permit: None },
            State::Arriving { _permit: Some(_) } => match self.lane.work() {
                Ok(permit) => *state = State::Working { _permit: Some(permit) },
                Err(_) => *state = State::Refused,
            },
            _ => {}
        }
        !matches!(*state, State::Refused)
    }

    /// The rest of the body is not read, and the call continues: it runs, with a permit if there is one.
    pub(super) fn work_anyway(&self) {
        let mut state = self.state();
        if let (State::Arriving { _permit: Some(_) }, Ok(permit)) = (&*state, self.lane.work()) {
            *state = State::Working { _permit: Some(permit) };
        }
    }

    /// The body did not arrive in time.
    pub(super) fn stall(&self) {
        *self.state() = State::Stalled;
    }

    /// The head of the response is ready; an error if the call could not continue.
    pub(super) fn end(&self) -> Result<(), Failure> {
        match std::mem::replace(&mut *self.state(), State::Answered) {
            State::Refused => Err(busy()),
            State::Stalled => Err(answer::late(self.grpc)),
            _ => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment, so a poisoned lock is consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat for Place {
    fn leave(&self) {
        let mut state = self.state();
        if matches!(*state, State::Working { _permit: Some(_) }) {
            *state = State::Aside;
        }
    }

    fn take(&self) -> bool {
        let mut state = self.state();
        if matches!(*state, State::Aside) {
            *state = self.lane.work().map_or(State::Refused, |permit| State::Working { _permit: Some(permit) });
        }
        !matches!(*state, State::Refused)
    }
}

fn is_probe(path: &str) -> bool {
    ops::is_ops(path) || path.starts_with(HEALTH)
}

/// The body of these is not read.
fn is_read_of_rest(head: &Head, method: &Method) -> bool {
    head.grpc.is_none() && matches!(*method, Method::GET | Method::HEAD)
}

fn busy() -> Failure {
    metrics::counter!("tenantry_calls_shed_total").increment(1);
    let error = Error::new(Kind::Unavailable, Reason::Overloaded, "the server is overloaded; retry later");
    Failure::Busy(error)
}
