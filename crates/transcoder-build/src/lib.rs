//! Generates, from protobuf files, everything that a service needs to be called over gRPC and REST: tonic traits and
//! messages, a proto3 JSON codec, the REST routes of `google.api.http`, and a guard around every method.
//!
//! Call [`Builder`] from a build script and include what it writes:
//!
//! ```text
//! pub mod proto {
//!     include!(concat!(env!("OUT_DIR"), "/transcoder.rs"));
//! }
//! ```
//!
//! For a service `shop.v1.OrderService` this adds to tonic's code a module `proto::shop::v1::order_service_rest` with
//! `METHODS`, `Guarded` and `routes`. The root gets `OPENAPI`: an OpenAPI 3.1 document of all services, with the empty
//! name, and one for each surface, with the surface's name; and `SURFACES`, their paths.

mod code;
mod codec;
mod model;
mod names;
mod openapi;
mod options;
mod output;
mod parts;
mod service;
mod sources;
mod surfaces;
pub mod template;
mod wellknown;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

pub use parts::Part;
use prost_reflect::DescriptorPool;
use service::Handlers;
pub use tonic_prost_build;

/// Why a build fails. Each error names the element and the cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The proto files do not compile.
    #[error("{0}")]
    Proto(String),
    /// A method or field cannot be served as declared.
    #[error("{at}: {why}")]
    Rule {
        /// Full name of the method or field.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// The frame of the OpenAPI documents is not valid.
    #[error("the frame of the OpenAPI documents: {0}")]
    Frame(String),
    /// The requested parts do not fit together.
    #[error("{0}")]
    Parts(&'static str),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.display().to_string();
    move |source| Error::Io { path, source }
}

/// Configures and runs the generator.
#[derive(Debug)]
pub struct Builder {
    root: PathBuf,
    includes: Vec<PathBuf>,
    out_dir: Option<PathBuf>,
    options_package: Option<String>,
    permissions: Vec<String>,
    error_domain: String,
    frames: Vec<String>,
    limits: Limits,
    parts: Vec<Part>,
    definitions: Option<String>,
    handlers: Option<Handlers>,
    tonic: fn(tonic_prost_build::Builder) -> tonic_prost_build::Builder,
}

/// Limits of a request other than its size in bytes.
#[derive(Clone, Copy, Debug)]
struct Limits {
    depth: u16,
    items: u32,
}

/// The result of a build: the encoded descriptors and, by package, the code in addition to tonic's.
#[derive(Debug)]
pub struct Compiled {
    /// The encoded `FileDescriptorSet`, custom options included.
    pub descriptors: Vec<u8>,
    /// Code by package.
    pub code: BTreeMap<String, String>,
    /// Code for the root: the paths of the surfaces.
    pub surfaces: String,
    /// OpenAPI documents by surface; the document of all surfaces has the empty name.
    pub openapi: BTreeMap<String, serde_json::Value>,
}

impl Builder {
    /// Compiles every proto file below `root`.
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self {
            root: root.as_ref().to_owned(),
            includes: Vec::new(),
            out_dir: None,
            options_package: None,
            permissions: Vec::new(),
            error_domain: String::new(),
            frames: Vec::new(),
            limits: Limits { depth: 64, items: 10_000 },
            parts: vec![Part::Definitions, Part::Services, Part::Documents],
            definitions: None,
            handlers: None,
            tonic: |tonic| tonic.build_transport(false),
        }
    }

    /// Adds a folder in which imports are found. Those of `google.protobuf`, and `annotations.proto`, `http.proto` and
    /// `httpbody.proto` of `google.api`, are always found.
    pub fn include(mut self, root: impl AsRef<Path>) -> Self {
        self.includes.push(root.as_ref().to_owned());
        self
    }

    /// The folder of the generated files; `OUT_DIR` by default. It is created if it is missing.
    pub fn out_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.out_dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Package of the options `auth`, `actions`, `audit`, `rest`, `surface` and `field`. With it, every method needs an
    /// authorization rule; without it, every method is public.
    pub fn options_package(mut self, package: &str) -> Self {
        self.options_package = Some(package.to_owned());
        self
    }

    /// The permissions that rules may name. They are checked when the definitions are generated.
    pub fn permissions<'a>(mut self, permissions: impl IntoIterator<Item = &'a str>) -> Self {
        self.permissions = permissions.into_iter().map(str::to_owned).collect();
        self
    }

    /// Adds content to the OpenAPI documents: a JSON object of optional members. Several calls are merged.
    ///
    /// - `info`: as in OpenAPI
    /// - `securitySchemes`: as in OpenAPI, by name
    /// - `surfaces`: by name, `title`, `description` and `security`, the names of schemes of which any one suffices
    /// - `dialects`: by name, the `schema` and an `example` of an error body, and the `statuses` that the dialect itself
    ///   chooses: those below 500 for calls with input, the others for all
    /// - `tags`: the tags of `paths`
    /// - `paths`: paths that no RPC serves: by path, the path `item` and the `surfaces` whose documents include it
    pub fn openapi(mut self, frame: &str) -> Self {
        self.frames.push(frame.to_owned());
        self
    }

    /// The domain in `google.rpc.ErrorInfo` for requests without their required fields; empty by default.
    pub fn error_domain(mut self, domain: &str) -> Self {
        self.error_domain = domain.to_owned();
        self
    }

    /// The maximum nesting of request messages; 64 levels by default, at most 127, the limit of the parser.
    pub fn max_depth(mut self, levels: u16) -> Self {
        self.limits.depth = levels;
        self
    }

    /// The maximum number of list items and map entries in one request; 10,000 by default. An item may take several
    /// hundred times as much memory as its text.
    pub fn max_items(mut self, items: u32) -> Self {
        self.limits.items = items;
        self
    }

    /// Configures tonic's generator, for example with attributes of types. By default, clients have no `connect`
    /// method, which needs the feature `transport` of tonic. The types of fields are fixed: maps are `BTreeMap` and
    /// bytes are `Vec<u8>`.
    pub fn tonic(mut self, configure: fn(tonic_prost_build::Builder) -> tonic_prost_build::Builder) -> Self {
        self.tonic = configure;
        self
    }

    /// The parts to generate; all by default. Two crates can share the work: one with the definitions, which compile
    /// slowly and rarely change, the other with the services, by [`definitions_in`](Self::definitions_in).
    pub fn parts(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.parts = parts.into_iter().collect();
        self
    }

    /// The path of the module in which another crate includes its `transcoder.rs` with the definitions, such as
    /// `::shop_proto`. Needed if [`parts`](Self::parts) has the services but not the definitions.
    pub fn definitions_in(mut self, module: &str) -> Self {
        self.definitions = Some(module.to_owned());
        self
    }

    /// Generates handlers: a trait with a method for each RPC, which takes a context and the request and returns the
    /// response or an error, without the types of tonic. `context` and `error` are the paths of the types; the context
    /// must implement `transcoder::handler::Context`.
    pub fn handlers(mut self, context: &str, error: &str) -> Self {
        self.handlers = Some(Handlers { context: context.to_owned(), error: error.to_owned() });
        self
    }

    /// Compiles and checks without writing files.
    pub fn check(&self) -> Result<Compiled, Error> {
        let mut files = Vec::new();
        collect(&self.root, &mut files)?;
        files.sort();
        let roots = std::iter::once(&self.root).chain(&self.includes);
        let resolver = sources::resolver(roots.map(PathBuf::as_path));
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(&files).map_err(|error| Error::Proto(format!("{error:?}")))?;
        // The raw bytes: prost_types drops custom options.
        let descriptors = compiler.encode_file_descriptor_set();
        let pool = DescriptorPool::decode(&*descriptors).map_err(|error| Error::Proto(error.to_string()))?;
        let options = options::Options::new(&pool, self.options_package.clone());
        // If the definitions are in another crate, they were checked there.
        let permissions = self.has(Part::Definitions).then_some(&*self.permissions);
        let services = model::services(&pool, &options, permissions)?;
        let code = self.code(&pool, &options, &services)?;
        let surfaces = surfaces::surfaces(&model::surfaces(&services)?);
        let frame = openapi::Frame::read(&self.frames)?;
        openapi::check(&pool, &options)?;
        let openapi = openapi::documents(&pool, &services, &options, &frame);
        Ok(Compiled { descriptors, code, surfaces, openapi })
    }

    fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in std::fs::read_dir(dir).map_err(io(dir))? {
        let path = entry.map_err(io(dir))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
