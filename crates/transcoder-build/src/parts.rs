//! What can be generated apart.

/// A part of what is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// What the protos define: messages with their JSON, tonic's modules, the tables of methods and paths, and
    /// `descriptors.bin`.
    Definitions,
    /// What serves them: the traits of handlers, the guarded services and their routes.
    Services,
    /// The OpenAPI documents.
    Documents,
}
