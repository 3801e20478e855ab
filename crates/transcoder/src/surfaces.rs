//! Finds the surface of a path.

use crate::percent;

/// The paths of a surface, from its option. Generated: `SURFACES` has all surfaces.
#[derive(Debug)]
pub struct SurfacePaths {
    /// Its name.
    pub name: &'static str,
    /// Name of its error dialect.
    pub error_dialect: &'static str,
    /// Proto packages of its services.
    pub packages: &'static [&'static str],
    /// Its REST paths, each including all paths below it.
    pub prefixes: &'static [&'static str],
    /// Other paths whose errors use its dialect, each including all paths below it.
    pub error_prefixes: &'static [&'static str],
    /// Path prefixes with an alias: from and to.
    pub aliases: &'static [(&'static str, &'static str)],
}

impl SurfacePaths {
    /// The surface of a gRPC or REST path, percent-encoded or not: by the package, or by the longest prefix of whole
    /// segments.
    pub fn of_path<'a>(surfaces: &'a [Self], path: &str) -> Option<&'a Self> {
        if let Some(package) = package(path) {
            return surfaces.iter().find(|surface| surface.packages.contains(&package));
        }
        let path = percent::canonical_path(path);
        let prefixes = surfaces.iter().flat_map(|surface| surface.prefixes.iter().map(move |prefix| (prefix, surface)));
        let covering = prefixes.filter(|(prefix, _)| covers(prefix, &path));
        covering.max_by_key(|(prefix, _)| prefix.len()).map(|(_, surface)| surface)
    }
}

/// Whether a decoded path starts with these whole segments.
pub fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
}

/// The package of the service in a gRPC path: `/package.Service/Method`.
fn package(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let (package, name) = service.rsplit_once('.')?;
    (name.starts_with(|c: char| c.is_ascii_uppercase()) && !method.contains('/')).then_some(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn surface(
        name: &'static str,
        packages: &'static [&'static str],
        prefixes: &'static [&'static str],
    ) -> SurfacePaths {
        SurfacePaths { name, error_dialect: name, packages, prefixes, error_prefixes: &[], aliases: &[] }
    }

    static SURFACES: [SurfacePaths; 2] =
        [surface("shop", &["shop.v1", "shop.v2"], &["/v1", "/shop"]), surface("bank", &["bank.v1"], &["/v1/accounts"])];

    #[test]
    fn the_surface_of_a_path_is_found() {
        for (path, name) in [
            ("/shop.v1.OrderService/GetOrder", Some("shop")),
            ("/shop.v2.OrderService/GetOrder", Some("shop")),
            ("/shop.v3.OrderService/GetOrder", None),
            ("/bank.v1.AccountService/Get", Some("bank")),
            ("/v1", Some("shop")),
            ("/v1/orders", Some("shop")),
            ("/v1:count", Some("shop")),
            ("/v1x", None),
            ("/%761/orders", Some("shop")),
            ("/v1%2Forders", None),
            ("/v1/accounts", Some("bank")),
            ("/v1/accounts/7", Some("bank")),
            ("/v1/accountsx", Some("shop")),
            ("/shop/a.b/c", Some("shop")),
            ("/", None),
        ] {
            assert_eq!(SurfacePaths::of_path(&SURFACES, path).map(|surface| surface.name), name, "{path}");
        }
    }
}
