//! Resolves imports: first in the given folders, then among protobuf's own files, then among those of `google.api` that
//! every service with REST paths imports.

use std::path::Path;

use protox::{
    Error,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver},
};

/// Files of googleapis, unchanged.
const GOOGLE_API: &[(&str, &str)] = &[
    ("google/api/annotations.proto", include_str!("../proto/google/api/annotations.proto")),
    ("google/api/http.proto", include_str!("../proto/google/api/http.proto")),
    ("google/api/httpbody.proto", include_str!("../proto/google/api/httpbody.proto")),
];

struct GoogleApi;

impl FileResolver for GoogleApi {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        match GOOGLE_API.iter().find(|(known, _)| *known == name) {
            Some((_, source)) => File::from_source(name, source),
            None => Err(Error::file_not_found(name)),
        }
    }
}

/// A resolver that searches these folders first.
pub fn resolver<'p>(roots: impl IntoIterator<Item = &'p Path>) -> ChainFileResolver {
    let mut resolver = ChainFileResolver::new();
    for root in roots {
        resolver.add(IncludeFileResolver::new(root.to_owned()));
    }
    resolver.add(GoogleFileResolver::new());
    resolver.add(GoogleApi);
    resolver
}
