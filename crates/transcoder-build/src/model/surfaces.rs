//! The surfaces of all services, with their paths.

use std::collections::BTreeMap;

use super::Service;
use crate::{Error, options::below};

/// The paths of a surface.
#[derive(Clone, Debug, Default)]
pub struct SurfacePaths {
    /// Name of its error dialect.
    pub error_dialect: String,
    /// Packages of its services.
    pub packages: Vec<String>,
    /// Its paths, each including all paths below it.
    pub prefixes: Vec<String>,
    /// Other paths whose errors use its dialect.
    pub error_prefixes: Vec<String>,
    /// Aliases of paths: from and to.
    pub aliases: Vec<(String, String)>,
}

/// The surfaces by name. Several files of one surface are merged.
pub fn surfaces(services: &[Service]) -> Result<BTreeMap<String, SurfacePaths>, Error> {
    let mut surfaces: BTreeMap<String, SurfacePaths> = BTreeMap::new();
    let methods = services.iter().flat_map(|service| &service.methods);
    for method in methods.filter(|method| !method.surface.name.is_empty()) {
        let (own, package) = (&method.surface, method.descriptor.parent_service().package_name().to_owned());
        let fail = |why: String| Error::Rule { at: method.descriptor.full_name().to_owned(), why };
        let surface = surfaces.entry(own.name.clone()).or_default();
        if surface.packages.is_empty() {
            surface.error_dialect.clone_from(&own.error_dialect);
        } else if surface.error_dialect != own.error_dialect {
            return Err(fail(format!("the surface {:?} has another error_dialect in another file", own.name)));
        }
        for prefix in own.prefixes.iter().chain(&own.error_prefixes) {
            if !prefix.starts_with('/') || prefix.ends_with('/') {
                return Err(fail(format!("the surface {:?} has the prefix {prefix:?}; write it as /a/b", own.name)));
            }
        }
        add(&mut surface.packages, &[package]);
        add(&mut surface.prefixes, &own.prefixes);
        add(&mut surface.error_prefixes, &own.error_prefixes);
        add(&mut surface.aliases, &own.aliases);
    }
    check(services, &surfaces)?;
    Ok(surfaces)
}

fn add<T: Clone + Ord>(all: &mut Vec<T>, more: &[T]) {
    all.extend_from_slice(more);
    all.sort();
    all.dedup();
}

/// If surfaces have prefixes, every path must belong to the surface of its method.
fn check(services: &[Service], surfaces: &BTreeMap<String, SurfacePaths>) -> Result<(), Error> {
    if surfaces.values().all(|surface| surface.prefixes.is_empty()) {
        return Ok(());
    }
    let prefixes = || surfaces.iter().flat_map(|(name, paths)| paths.prefixes.iter().map(move |prefix| (prefix, name)));
    for method in services.iter().flat_map(|service| &service.methods) {
        let fail = |why: String| Err(Error::Rule { at: method.descriptor.full_name().to_owned(), why });
        for path in method.bindings.iter().map(|binding| &binding.http.path) {
            let covering = prefixes().filter(|(prefix, _)| below(prefix, path).is_some());
            match covering.max_by_key(|(prefix, _)| prefix.len()) {
                Some((_, name)) if *name == method.surface.name => {}
                Some((prefix, name)) => return fail(format!("{path} belongs to the surface {name:?}, by {prefix}")),
                None => {
                    return fail(format!("{path} is not below any prefix of the surface {:?}", method.surface.name));
                }
            }
        }
    }
    Ok(())
}
