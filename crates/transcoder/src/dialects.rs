//! The dialects of a server, by name and by path.

use std::{collections::HashMap, sync::Arc};

use crate::{aip193::Aip193, dialect::Dialect, percent, surfaces::SurfacePaths};

/// The dialects of a server: looked up by name for a surface's own methods, and by the longest prefix for paths that no
/// rule matches.
#[derive(Clone)]
pub struct Dialects(Arc<Table>);

#[derive(Clone)]
struct Table {
    by_name: HashMap<&'static str, Arc<dyn Dialect>>,
    by_prefix: Vec<(&'static str, Arc<dyn Dialect>)>,
    fallback: Arc<dyn Dialect>,
}

impl Dialects {
    /// Dialects with their names and path prefixes. Paths outside of all prefixes use AIP-193.
    pub fn new(dialects: impl IntoIterator<Item = (&'static str, &'static [&'static str], Arc<dyn Dialect>)>) -> Self {
        let mut table = Table { by_name: HashMap::new(), by_prefix: Vec::new(), fallback: Arc::new(Aip193::default()) };
        for (name, prefixes, dialect) in dialects {
            table.by_prefix.extend(prefixes.iter().map(|prefix| (*prefix, dialect.clone())));
            table.by_name.insert(name, dialect);
        }
        table.by_prefix.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self(Arc::new(table))
    }

    /// The dialects of surfaces, by name. Each applies to the paths of the surfaces that name it.
    pub fn of_surfaces(
        surfaces: &'static [SurfacePaths],
        dialects: impl IntoIterator<Item = (&'static str, Arc<dyn Dialect>)>,
    ) -> Self {
        let Self(table) = Self::new(dialects.into_iter().map(|(name, dialect)| (name, &[] as &[_], dialect)));
        let mut table = Arc::unwrap_or_clone(table);
        for surface in surfaces {
            if let Some(dialect) = table.by_name.get(surface.error_dialect) {
                let prefixes = surface.prefixes.iter().chain(surface.error_prefixes);
                table.by_prefix.extend(prefixes.map(|prefix| (*prefix, dialect.clone())));
            }
        }
        table.by_prefix.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Self(Arc::new(table))
    }

    /// Replaces the dialect for all other paths, such as by AIP-193 with a domain.
    pub fn with_fallback(self, dialect: Arc<dyn Dialect>) -> Self {
        Self(Arc::new(Table { fallback: dialect, ..Arc::unwrap_or_clone(self.0) }))
    }

    /// The dialect with a name.
    pub fn named(&self, name: &str) -> &dyn Dialect {
        self.0.by_name.get(name).unwrap_or(&self.0.fallback).as_ref()
    }

    /// The dialect for a path, percent-encoded or not.
    pub fn of_path(&self, path: &str) -> &dyn Dialect {
        let path = percent::canonical_path(path);
        let rules =
            |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let found = self.0.by_prefix.iter().find(|(prefix, _)| rules(prefix));
        found.map_or(&self.0.fallback, |(_, dialect)| dialect).as_ref()
    }
}

/// AIP-193 everywhere.
impl Default for Dialects {
    fn default() -> Self {
        Self::new([])
    }
}

impl std::fmt::Debug for Dialects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.by_name.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Failure, Rendered};

    struct Named(&'static str);

    impl Dialect for Named {
        fn render(&self, failure: &Failure) -> Rendered {
            Rendered::json(failure, &self.0.into())
        }
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins_in_any_encoding() {
        let dialect = |name, prefixes| (name, prefixes, Arc::new(Named(name)) as Arc<dyn Dialect>);
        let dialects = Dialects::new([dialect("api", &["/api"] as &[_]), dialect("users", &["/api/users"])]);
        let of = |path| dialects.of_path(path).render(&Failure::not_found()).body;
        for path in ["/api/users", "/api/users/x", "/%61pi/users/%zz", "/api/%75sers/"] {
            assert_eq!(of(path), b"\"users\"", "{path}");
        }
        for path in ["/api", "/api/usersx", "/api/x", "/api/users%2Fx"] {
            assert_eq!(of(path), b"\"api\"", "{path}");
        }
        assert!(of("/apix").starts_with(b"{"), "other paths must use AIP-193");
    }
}
