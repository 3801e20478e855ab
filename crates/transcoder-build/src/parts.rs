//! Parts that can be generated separately.

/// A part of the generated code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Definitions: messages with their JSON, tonic's modules, the tables of methods and paths, and `descriptors.bin`.
    Definitions,
    /// Services: the handler traits, the guarded services and their routes.
    Services,
    /// The OpenAPI documents.
    Documents,
}
