//! Writes the generated files.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use prost::Message as _;

use crate::{
    Builder, Compiled, Error, Part, io,
    names::{self, snake},
};

impl Builder {
    /// Generates `transcoder.rs`, which includes the rest; with the definitions `descriptors.bin`, and with the
    /// documents their files in `openapi/`.
    pub fn compile(self) -> Result<(), Error> {
        for root in std::iter::once(&self.root).chain(&self.includes) {
            println!("cargo:rerun-if-changed={}", root.display());
        }
        let compiled = self.check()?;
        let out = match &self.out_dir {
            Some(dir) => dir.clone(),
            None => PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()),
        };
        fs::create_dir_all(&out).map_err(io(&out))?;
        if self.has(Part::Definitions) {
            self.write_definitions(&out, &compiled)?;
        } else {
            write(&out.join("transcoder.rs"), tree(&compiled.code))?;
        }
        if self.has(Part::Documents) { write_openapi(&out, &compiled.openapi) } else { Ok(()) }
    }

    /// Writes the output of tonic's generator for the descriptors, with the code of each package appended.
    fn write_definitions(&self, out: &Path, compiled: &Compiled) -> Result<(), Error> {
        write(&out.join("descriptors.bin"), &compiled.descriptors)?;
        let set = prost_types::FileDescriptorSet::decode(&*compiled.descriptors)
            .map_err(|error| Error::Proto(error.to_string()))?;
        (self.tonic)(tonic_prost_build::configure())
            .btree_map(".")
            .include_file("transcoder.rs")
            .out_dir(out)
            .compile_fds(set)
            .map_err(io(out))?;
        for (package, code) in &compiled.code {
            let path = out.join(names::file(package));
            let tonic = fs::read_to_string(&path).map_err(io(&path))?;
            write(&path, tonic + code)?;
        }
        let path = out.join("transcoder.rs");
        let code = fs::read_to_string(&path).map_err(io(&path))?;
        write(&path, code + &compiled.surfaces)
    }
}

/// The code of packages, in modules of their names.
fn tree(code: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let mut open: Vec<String> = Vec::new();
    for (package, code) in code {
        let modules: Vec<_> = package.split('.').filter(|module| !module.is_empty()).map(snake).collect();
        let common = open.iter().zip(&modules).take_while(|(one, other)| one == other).count();
        text.push_str(&"}\n".repeat(open.len() - common));
        // The common prefix is not longer than either list.
        for module in &modules[common..] {
            text.push_str(&format!("pub mod {module} {{\n"));
        }
        text.push_str(code);
        open = modules;
    }
    text + &"}\n".repeat(open.len())
}

/// Writes the documents, and the constant that adds them to the root of the generated code.
fn write_openapi(out: &Path, documents: &BTreeMap<String, serde_json::Value>) -> Result<(), Error> {
    let dir = out.join("openapi");
    fs::create_dir_all(&dir).map_err(io(&dir))?;
    let mut entries = String::new();
    for (surface, document) in documents {
        let file = if surface.is_empty() { "everything.json".to_owned() } else { format!("surface-{surface}.json") };
        write(&dir.join(&file), document.to_string())?;
        let (name, file) = (names::literal(surface), names::literal(&format!("openapi/{file}")));
        entries.push_str(&format!("({name}, include_bytes!({file})), "));
    }
    let path = out.join("transcoder.rs");
    let code = fs::read_to_string(&path).map_err(io(&path))?;
    let constant = format!(
        "/// The OpenAPI documents by surface; the document of all surfaces has the empty name.\n\
         pub const OPENAPI: &[(&str, &[u8])] = &[{entries}];\n"
    );
    write(&path, code + &constant)
}

fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Error> {
    fs::write(path, content).map_err(io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_become_modules() {
        let code = [("", "a"), ("shop", "b"), ("shop.v1", "c"), ("shop.v2.x", "d"), ("type", "e")];
        let code = code.into_iter().map(|(package, code)| (package.to_owned(), format!("{code}\n"))).collect();
        let text = tree(&code).replace('\n', " ");
        assert_eq!(text, "a pub mod shop { b pub mod v1 { c } pub mod v2 { pub mod x { d } } } pub mod r#type { e } ");
    }
}
