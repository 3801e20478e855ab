//! What the descriptors say of the services: which there are, and how many messages their methods take.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use prost::Message;
use prost_types::FileDescriptorProto;

use crate::{base::Error, proto};

/// A proto file: as it was compiled, options of all kinds included, and what can be read of it.
pub(super) struct File {
    /// The encoded `FileDescriptorProto`.
    pub encoded: Bytes,
    /// The same, without the options that are not protobuf's own.
    pub read: FileDescriptorProto,
}

/// A `FileDescriptorSet` whose files stay encoded.
#[derive(Message)]
struct EncodedSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

/// The files of all services of this server, each once.
pub(super) fn files() -> Result<Vec<File>, Error> {
    of_sets(&[proto::DESCRIPTORS, proto::STANDARD_DESCRIPTORS])
}

/// The files of encoded sets, each once: two sets may have imported the same.
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

/// A name within a package, a message or a service.
pub(super) fn within(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// The methods of a server, by service.
#[derive(Clone, Debug, Default)]
pub struct Methods(HashMap<String, HashMap<String, Streams>>);

/// How many messages a method takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    /// Whether the caller sends any number of messages; else it is one.
    pub from_client: bool,
}

/// What a path names.
pub(super) enum Named<'m, 'p> {
    /// A method.
    Method(&'m Streams),
    /// A method that its service does not have.
    NoMethod { service: &'p str, method: &'p str },
    /// A method of a service that the server does not have.
    NoService(&'p str),
    /// Nothing: it has not the form of a method's path.
    Nothing,
}

impl Methods {
    /// The methods that encoded sets of descriptors tell of.
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

    /// What a path, `/<service>/<method>`, names.
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
