//! Surfaces: the audiences of tokens, determined by the path of a call.

use std::{fmt, str::FromStr};

use transcoder::SurfacePaths;
/// The path as the router compares it: by decoded segments.
pub use transcoder::percent::canonical_path as decoded;
pub use transcoder::surfaces::covers;

use crate::proto::SURFACES;

/// A documented API. Its name is the audience of its tokens and the name in the proto option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// Placement, enrollment and provisioning of tenants.
    ControlPlane,
    /// Zero-trust access: administration, devices and gateways.
    ZeroTrust,
    /// Projects and apps on Kubernetes.
    Manager,
    /// Databases and pools.
    Warehouse,
    /// Messaging tenants, clusters and namespaces.
    Messaging,
    Native,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown audience; one of control-plane, zero-trust, manager, warehouse, messaging, native")]
pub struct UnknownSurface;

impl Surface {
    pub const ALL: [Surface; 6] =
        [Self::ControlPlane, Self::ZeroTrust, Self::Manager, Self::Warehouse, Self::Messaging, Self::Native];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::ControlPlane => "control-plane",
            Self::ZeroTrust => "zero-trust",
            Self::Manager => "manager",
            Self::Warehouse => "warehouse",
            Self::Messaging => "messaging",
            Self::Native => "native",
        }
    }

    /// The surface of a gRPC or REST path, from the protos; `None` for paths outside all surfaces, such as health
    /// and reflection.
    pub fn of_path(path: &str) -> Option<Self> {
        SurfacePaths::of_path(SURFACES, path)?.name.parse().ok()
    }
}

impl FromStr for Surface {
    type Err = UnknownSurface;

    fn from_str(text: &str) -> Result<Self, UnknownSurface> {
        Self::ALL.into_iter().find(|surface| surface.as_str() == text).ok_or(UnknownSurface)
    }
}

impl fmt::Display for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_surface_of_the_protos_is_an_audience() {
        for surface in SURFACES {
            assert_eq!(surface.name.parse().map(Surface::as_str), Ok(surface.name));
        }
    }

    #[test]
    fn the_surface_of_a_path_is_found() {
        let cases = [
            ("/tenantry.messaging.v2.TenantService/GetTenant", Some(Surface::Messaging)),
            ("/tenantry.zerotrust.v1.GroupService/ListGroups", Some(Surface::ZeroTrust)),
            ("/tenantry.messagingx.v2.TenantService/GetTenant", None),
            ("/grpc.health.v1.Health/Check", None),
            ("/healthz", None),
            ("/admin/v2", Some(Surface::Messaging)),
            ("/admin/v2/tenants/acme", Some(Surface::Messaging)),
            ("/%61dmin/v2/tenants/acme", Some(Surface::Messaging)),
            ("/admin/%762/tenants/%C3%A4", Some(Surface::Messaging)),
            ("/admin%2Fv2/tenants", None),
            ("/%zz/admin/v2", None),
            ("/admin/v22/tenants", None),
            ("/admin/", None),
            ("/v1/tenants", Some(Surface::Manager)),
            ("/v1/tenants/t_1", Some(Surface::Manager)),
            ("/v1/tenantsx", Some(Surface::ZeroTrust)),
            ("/v1/admin/tenants", Some(Surface::ZeroTrust)),
            ("/api/tenant/list", Some(Surface::Warehouse)),
            ("/api/tenants", None),
            ("/api/auth/login", Some(Surface::Warehouse)),
            ("/api/config/client", Some(Surface::Warehouse)),
            ("/api/auth/accounts", Some(Surface::ControlPlane)),
            ("/api/auth/accountsx", Some(Surface::Warehouse)),
            ("/api/auth/switch-account", Some(Surface::ControlPlane)),
            ("/api/login", Some(Surface::ControlPlane)),
            ("/api/v1/control-plane/tenants", Some(Surface::ControlPlane)),
        ];
        for (path, surface) in cases {
            assert_eq!(Surface::of_path(path), surface, "{path}");
        }
    }
}
