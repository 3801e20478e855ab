//! Replaces the surface if the license does not include it: 501 on every path, after authentication
//! (control-plane contract, section 1).

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::LOCATION};
use transcoder::{Dialects, Failure, Guard, MethodInfo, Origin, RequestId};

use crate::{
    api::Deps,
    auth::surface,
    controlplane::licensing::{Multitenancy, unlicensed},
    proto::{SURFACES, controlplane::v1::status_service_rest::GET_STATUS},
};

/// The stub handles this path, its aliases, and all paths below them.
const ROOT: &str = "/api/control-plane";
/// The methods that the surface could have; others get 405.
const METHODS: [Method; 5] = [Method::DELETE, Method::GET, Method::PATCH, Method::POST, Method::PUT];
/// The same methods as an `Allow` header.
const ALLOW: &str = "DELETE, GET, PATCH, POST, PUT";
/// Callers that may call this method may learn that the others are not licensed.
const RULE: &MethodInfo = &GET_STATUS;

/// Cheap to clone.
#[derive(Clone)]
pub struct Stub {
    guard: Arc<dyn Guard>,
    dialects: Dialects,
}

impl Stub {
    /// The stub; none if the surface is licensed.
    pub fn of(deps: &Deps, guard: &Arc<dyn Guard>, dialects: &Dialects) -> Option<Self> {
        let needed = deps.settings.multitenancy.state == Multitenancy::Unlicensed;
        needed.then(|| Self { guard: guard.clone(), dialects: dialects.clone() })
    }

    /// Whether the stub handles a path.
    pub fn covers(path: &str) -> bool {
        let path = surface::decoded(path);
        roots().any(|root| surface::covers(root, &path))
    }

    /// Responds to a request for a path that it [covers](Stub::covers).
    pub fn respond(&self, mut request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        if roots().any(|root| root == surface::decoded(&path)) {
            return redirect(&path, request.uri().query());
        }
        let failure = self.failure(&mut request);
        let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
        self.dialects.refuse(&path, Failure { request_id, ..failure }).map(Body::new)
    }

    fn failure(&self, request: &mut Request<Body>) -> Failure {
        if !METHODS.contains(request.method()) {
            return Failure::method_not_allowed(ALLOW.to_owned());
        }
        match self.guard.admit(RULE, request.extensions_mut()) {
            Err(status) => Failure::of_status(Origin::Guard, &status, &[]),
            Ok(()) => Failure::of_status(Origin::Service, &unlicensed().to_status(), &[]),
        }
    }
}

fn roots() -> impl Iterator<Item = &'static str> {
    let aliases = SURFACES.iter().flat_map(|surface| surface.aliases);
    std::iter::once(ROOT).chain(aliases.filter(|(from, _)| *from == ROOT).map(|(_, to)| *to))
}

/// Redirects to the same path with a slash.
fn redirect(path: &str, query: Option<&str>) -> Response<Body> {
    let location = query.map_or_else(|| format!("{path}/"), |query| format!("{path}/?{query}"));
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    // A path and a query from a request are always valid in a header.
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stub_covers_whole_segments() {
        for path in ["/api/control-plane", "/api/control-plane/", "/api/v1/control-plane/x/y", "/%61pi/control-plane/x"]
        {
            assert!(Stub::covers(path), "{path}");
        }
        for path in ["/api/control-planes", "/api/login", "/api/v2/control-plane", "/api"] {
            assert!(!Stub::covers(path), "{path}");
        }
    }
}
