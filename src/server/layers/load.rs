//! Load shedding: as many calls as the configuration allows, and an honest refusal to the rest.
//!
//! A call works under a permit. One whose body is still on its way does no work: it waits under a permit of another kind,
//! of which there are more, and exchanges that for a working one when the body is whole. So a caller who sends slowly, or
//! not at all, takes no work from others. Callers without a credential have permits of their own: whatever they do, those
//! who have one are served. A call that only waits, as a login does after failures, gives its permit back meanwhile. Probes
//! need no permit, or an overloaded server would be taken for a dead one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::{
    answer::{Failure, Head},
    receive,
};
use crate::{
    base::{Error, Kind, error::Reason, seat::Seat},
    server::ops,
};

/// How many calls may be on their way for each that may be worked on.
const ARRIVING: usize = 8;
/// The prefix of the paths of gRPC health.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// The calls that may still be taken.
pub(super) struct Load {
    known: Lane,
    anonymous: Lane,
}

/// The permits of one kind of callers.
#[derive(Clone, Debug)]
struct Lane {
    working: Arc<Semaphore>,
    arriving: Arc<Semaphore>,
}

/// What a call holds while it waits for its answer's head. A stream that is open after that costs memory, not work.
#[derive(Debug)]
pub(super) struct Place {
    lane: Lane,
    grpc: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    /// The body is on its way.
    Arriving { _permit: Option<OwnedSemaphorePermit> },
    /// The call is whole.
    Working { _permit: Option<OwnedSemaphorePermit> },
    /// The call is whole, and waits for something that is no work.
    Aside,
    /// The call was whole, or had waited, and there was too much to do.
    Refused,
    /// The body did not come in time.
    Stalled,
    /// The call has its answer's head.
    Answered,
}

impl Load {
    pub(super) fn new(most: usize) -> Self {
        Self { known: Lane::new(most), anonymous: Lane::new(most) }
    }

    /// A permit for a call before it is known whose it is. Who has no credential is told apart without waiting, so only
    /// callers with one hold these for any time.
    pub(super) fn admit(&self, head: &Head) -> Result<Option<OwnedSemaphorePermit>, Failure> {
        if is_probe(&head.path) { Ok(None) } else { self.known.work().map(Some).map_err(|_| busy()) }
    }

    /// The place of a call whose caller is known or is known to be nobody, for the permit of its admission.
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
    /// Whether the body still has to come in time.
    pub(super) fn is_arriving(&self) -> bool {
        matches!(*self.state(), State::Arriving { .. })
    }

    /// The body is whole. False when there is too much to do: the call must not go on.
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

    /// Nobody reads the rest of the body, and the call goes on: it works, under the permit that can be had.
    pub(super) fn work_anyway(&self) {
        let mut state = self.state();
        if let (State::Arriving { _permit: Some(_) }, Ok(permit)) = (&*state, self.lane.work()) {
            *state = State::Working { _permit: Some(permit) };
        }
    }

    /// The body did not come in time.
    pub(super) fn stall(&self) {
        *self.state() = State::Stalled;
    }

    /// The call has its answer's head, which counts unless the call could not go on.
    pub(super) fn end(&self) -> Result<(), Failure> {
        match std::mem::replace(&mut *self.state(), State::Answered) {
            State::Refused => Err(busy()),
            State::Stalled => Err(receive::late(self.grpc)),
            _ => Ok(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each change is one assignment.
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

/// Nobody reads the body of these.
fn is_read_of_rest(head: &Head, method: &Method) -> bool {
    head.grpc.is_none() && matches!(*method, Method::GET | Method::HEAD)
}

fn busy() -> Failure {
    metrics::counter!("tenantry_calls_shed_total").increment(1);
    let error = Error::new(Kind::Unavailable, Reason::Overloaded, "the server is overloaded; retry later");
    Failure::Busy(error)
}
