//! The surfaces, one folder each, and in it one file a service. Thin: one message in, one verb, one message out.

pub mod controlplane;
mod deps;
pub mod manager;
pub mod messaging;
pub mod warehouse;
pub mod zerotrust;

use std::{sync::Arc, time::Duration};

use futures::{Stream, StreamExt, stream};
use http::Extensions;
use prost_types::Timestamp;
use time::OffsetDateTime;
use tonic::{Status, metadata::MetadataMap};
use transcoder::{
    Aip193, Dialect, Dialects, Service,
    handler::{self, Context},
};

pub use self::deps::{Deps, Settings};
use self::{
    controlplane::ControlPlaneDialect, manager::ManagerDialect, messaging::MessagingDialect,
    warehouse::WarehouseDialect, zerotrust::ZeroTrustDialect,
};
use crate::{
    base::{
        Cx, Error, Kind, Result,
        error::{DOMAIN, Reason},
    },
    proto::SURFACES,
    store::Pages,
};

/// The traits of the services and their `mount`, a module each, as `build.rs` generates them from `proto/`.
#[allow(missing_docs, clippy::all)]
pub mod handlers {
    include!(concat!(env!("OUT_DIR"), "/services/transcoder.rs"));

    pub use self::tenantry::*;
}

/// How long a further page of a list may take to be read.
const PAGE: Duration = Duration::from_secs(30);

/// A list that comes in pages.
type List<M> = handler::Pages<M, Error>;

/// The services of every surface.
pub fn services(deps: &Deps) -> Vec<Service> {
    let surfaces = [
        controlplane::services(deps),
        zerotrust::services(deps),
        manager::services(deps),
        warehouse::services(deps),
        messaging::services(deps),
    ];
    surfaces.into_iter().flatten().collect()
}

/// The REST error dialects, by the names that the protos give them.
pub fn dialects() -> Dialects {
    let dialects: [(_, Arc<dyn Dialect>); 5] = [
        ("control-plane", Arc::new(ControlPlaneDialect)),
        ("manager", Arc::new(ManagerDialect)),
        ("messaging", Arc::new(MessagingDialect)),
        ("warehouse", Arc::new(WarehouseDialect)),
        ("zero-trust", Arc::new(ZeroTrustDialect)),
    ];
    Dialects::of_surfaces(SURFACES, dialects).with_fallback(Arc::new(Aip193 { domain: DOMAIN }))
}

/// How the generated code calls the handlers.
impl Context for Cx {
    type Error = Error;

    fn of(extensions: &Extensions, _: &MetadataMap) -> Result<Self, Status> {
        Cx::of(extensions).map_err(|error| {
            tracing::error!(cause = error.cause.as_deref(), "a service was called without the guard");
            error.to_status()
        })
    }

    /// This is the boundary where the cause of an error is logged, once, and dropped.
    fn status(&self, error: Error) -> Status {
        log(self, &error);
        if error.kind == Kind::Internal {
            let message = format!("internal error; request id {}", self.request_id).into();
            return Error { message, ..error }.to_status();
        }
        error.to_status()
    }
}

/// The answer of a list: its first page, and the further ones as they are asked for. `message` makes one of a page.
fn listed<T, M>(cx: &Cx, list: Pages<T>, mut message: impl FnMut(Vec<T>) -> M + Send + 'static) -> List<M>
where
    T: Send + 'static,
    M: 'static,
{
    let first = message(list.first);
    match list.rest {
        Some(rest) => List::new(first, further(cx.clone(), rest).map(move |page| page.map(&mut message))),
        None => List::one(first),
    }
}

/// The further pages of a list, each bounded in time.
fn further<T: Send + 'static>(
    cx: Cx,
    pages: impl Stream<Item = Result<Vec<T>>> + Send + Unpin + 'static,
) -> impl Stream<Item = Result<Vec<T>>> + Send + 'static {
    let pages = stream::unfold(pages, |mut pages| async move {
        // The time that the peer takes does not count.
        let page = tokio::time::timeout(PAGE, pages.next()).await.unwrap_or_else(|_| Some(Err(late())));
        page.map(|page| (page, pages))
    });
    pages.inspect(move |page| {
        if let Err(error) = page {
            let (request_id, rpc, reason) = (cx.request_id.as_str(), cx.rpc, error.reason_name());
            tracing::warn!(request_id, rpc, reason, "a list was not finished");
        }
    })
}

fn late() -> Error {
    Error::new(Kind::DeadlineExceeded, Reason::DeadlineExceeded, "a page of the list took too long")
}

/// A moment as messages have it.
fn timestamp(at: OffsetDateTime) -> Timestamp {
    // Nanoseconds are below a thousand million.
    Timestamp { seconds: at.unix_timestamp(), nanos: at.nanosecond() as i32 }
}

/// Logs the cause: our own failures are errors, the callers' are of interest to those who look for them.
fn log(cx: &Cx, error: &Error) {
    let Some(cause) = error.cause.as_deref() else { return };
    let (request_id, rpc, reason) = (cx.request_id.as_str(), cx.rpc, error.reason_name());
    match error.kind {
        Kind::Internal | Kind::Unknown | Kind::DataLoss | Kind::Unavailable => {
            tracing::error!(request_id, rpc, reason, cause = cause as &dyn std::error::Error, "the call failed");
        }
        _ => tracing::debug!(request_id, rpc, reason, cause = cause as &dyn std::error::Error, "the call was refused"),
    }
}

#[cfg(test)]
mod tests {
    use transcoder::Failure;

    use super::*;

    #[test]
    fn every_surface_has_its_dialect() {
        let of = |dialect: &dyn Dialect| dialect.render(&Failure::not_found()).body;
        let dialects = dialects();
        let fallback = of(dialects.named("no such dialect"));
        for surface in SURFACES {
            assert_ne!(of(dialects.named(surface.error_dialect)), fallback, "{}", surface.error_dialect);
            assert!(!surface.prefixes.is_empty(), "{}", surface.name);
            for prefix in surface.prefixes.iter().chain(surface.error_prefixes) {
                assert_eq!(of(dialects.of_path(prefix)), of(dialects.named(surface.error_dialect)), "{prefix}");
            }
        }
    }
}
