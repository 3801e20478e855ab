//! The services in the descriptors, and whether their methods stream.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use prost::Message;
use prost_types::FileDescriptorProto;

use crate::{base::Error, proto};

/// A proto file: as it was compiled, with all options, and in its parsed form.
pub(super) struct File {
    /// The encoded `FileDescriptorProto`.
    pub encoded: Bytes,
    /// The same, parsed, without custom options.
    pub read: FileDescriptorProto,
}

/// A `FileDescriptorSet` whose files stay encoded.
#[derive(Message)]
struct EncodedSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// The files of all services of this server, without duplicates.
pub(super) fn files() -> Result<Vec<File>, Error> {
    of_sets(&[proto::DESCRIPTORS, proto::STANDARD_DESCRIPTORS])
}

/// The files of encoded sets, without duplicates: two sets may have imported the same file.
fn of_sets(sets: &[&'static [u8]]) -> Result<Vec<File>, Error> {
    let (mut files, mut names) = (Vec::new(), BTreeSet::new());
    for set in sets {
        let set = EncodedSet::decode(Bytes::from_static(set)).map_err(Error::internal)?;
        for encoded in set.file {
            let read = FileDescriptorProto::decode(encoded.clone()).map_err(Error::internal)?;
            if names.insert(read.name().to_owned()) {
                files.push(File { encoded, read });
            }
        }
    }
    Ok(files)
}

/// A name in a package, message or service.
pub(super) fn within(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// The methods of a server, by service.
#[derive(Clone, Debug, Default)]
pub struct Methods(HashMap<String, HashMap<String, Streams>>);

/// Whether a method streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    /// Whether the client sends a stream; otherwise it is one message.
    pub from_client: bool,
}

/// The meaning of a path.
pub(super) enum Named<'m, 'p> {
    Method(&'m Streams),
    /// A method that its service does not have.
    NoMethod {
        service: &'p str,
        method: &'p str,
    },
    /// A method of an unknown service.
    NoService(&'p str),
    /// Not a path of a gRPC method.
    Nothing,
}

impl Methods {
    /// The methods in encoded descriptor sets.
    pub fn of_sets(sets: &[&'static [u8]]) -> Result<Self, Error> {
        Ok(Self::of_files(&of_sets(sets)?))
    }

    pub(super) fn of_files(files: &[File]) -> Self {
        let mut services = HashMap::new();
        for file in files.iter().map(|file| &file.read) {
            for service in &file.service {
                let methods = service
                    .method
                    .iter()
                    .map(|method| (method.name().to_owned(), Streams { from_client: method.client_streaming() }));
                services.insert(within(file.package(), service.name()), methods.collect());
            }
        }
        Self(services)
    }

    /// The names of the services.
    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The meaning of a path, `/<service>/<method>`.
    pub(super) fn find<'p>(&self, path: &'p str) -> Named<'_, 'p> {
        let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
            return Named::Nothing;
        };
        match self.0.get(service).map(|methods| methods.get(method)) {
            Some(Some(streams)) => Named::Method(streams),
            Some(None) => Named::NoMethod { service, method },
            None => Named::NoService(service),
        }
    }
}
