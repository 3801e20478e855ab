//! The code of each package.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, FileDescriptor};

use crate::{Builder, Error, Part, codec, model, options::Options, service};

/// The package of the options of REST.
const GOOGLE_API: &str = "google.api";

impl Builder {
    /// The code of the requested parts, by package.
    pub(crate) fn code(
        &self,
        pool: &DescriptorPool,
        options: &Options<'_>,
        services: &[model::Service],
    ) -> Result<BTreeMap<String, String>, Error> {
        let mut code = BTreeMap::new();
        let (definitions, serving) = (self.has(Part::Definitions), self.has(Part::Services));
        if serving && definitions == self.definitions.is_some() {
            return Err(Error::Parts(
                "services need the definitions: generate them too, or name their module with `definitions_in`",
            ));
        }
        let known = if definitions { self.types(pool, options, &mut code)? } else { Vec::new() };
        for service in services {
            let out: &mut String = code.entry(service.descriptor.package_name().to_owned()).or_default();
            let emit = service::Emit { service, domain: &self.error_domain, handlers: self.handlers.as_ref() };
            if definitions {
                emit.definitions(out, &known, self.limits, serving);
            }
            if serving {
                emit.serving(out, self.definitions.as_deref());
            }
        }
        code.retain(|_, code| !code.is_empty());
        Ok(code)
    }

    /// The codecs of all messages and enums. Returns the packages whose messages an `Any` may hold.
    fn types(
        &self,
        pool: &DescriptorPool,
        options: &Options<'_>,
        code: &mut BTreeMap<String, String>,
    ) -> Result<Vec<String>, Error> {
        let mut packages: BTreeMap<String, Vec<FileDescriptor>> = BTreeMap::new();
        for file in pool.files().filter(|file| self.is_own(file)) {
            packages.entry(file.package_name().to_owned()).or_default().push(file);
        }
        let with_types = packages
            .iter()
            .filter(|(package, files)| *package != GOOGLE_API && files.iter().any(|file| file.messages().len() > 0));
        let with_types: Vec<String> = with_types.map(|(package, _)| package.clone()).collect();
        // A surface knows the types of every package if any field is an `Any`.
        let holds_any = |package: &String| packages.get(package).is_some_and(|files| codec::holds_any(files));
        let any = with_types.iter().any(holds_any);
        for (package, files) in &packages {
            let out = code.entry(package.clone()).or_default();
            for message in files.iter().flat_map(FileDescriptor::messages) {
                codec::message(out, &message, options)?;
            }
            for item in files.iter().flat_map(FileDescriptor::enums) {
                codec::enumeration(out, &item);
            }
            if with_types.contains(package) {
                codec::types(out, package, files);
            }
        }
        Ok(if any { with_types } else { Vec::new() })
    }

    /// Whether the messages of a file get a codec: not the options, not protobuf's own, and of `google.api` only
    /// `HttpBody`. Google's other types, such as `google.type`, are ordinary messages.
    fn is_own(&self, file: &FileDescriptor) -> bool {
        match file.package_name() {
            "google.protobuf" => false,
            GOOGLE_API => file.messages().any(|one| one.full_name() == model::HTTP_BODY),
            package => Some(package) != self.options_package.as_deref(),
        }
    }
}
