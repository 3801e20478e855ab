//! What the documents say beside the protos; the build script hands it in as JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Error;

/// The frame of the documents. Every member may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Frame {
    /// The `info` of the documents.
    pub info: Map<String, Value>,
    /// Ways to authenticate, by name, as OpenAPI has them.
    pub security_schemes: Map<String, Value>,
    /// What is said of a surface, by its name.
    pub surfaces: BTreeMap<String, About>,
    /// The bodies of errors, by the name of their dialect.
    pub dialects: BTreeMap<String, Dialect>,
    /// Tags of the fixed paths, as OpenAPI has them.
    pub tags: Vec<Value>,
    /// Paths that no RPC serves.
    pub paths: BTreeMap<String, Fixed>,
}

impl Frame {
    /// Reads the parts of a frame.
    pub fn read(parts: &[String]) -> Result<Self, Error> {
        let mut whole = Self::default();
        for part in parts {
            let part: Self = serde_json::from_str(part).map_err(|error| Error::Frame(error.to_string()))?;
            whole.info.extend(part.info);
            whole.security_schemes.extend(part.security_schemes);
            whole.surfaces.extend(part.surfaces);
            whole.dialects.extend(part.dialects);
            whole.tags.extend(part.tags);
            whole.paths.extend(part.paths);
        }
        for (surface, about) in &whole.surfaces {
            if let Some(way) = about.security.iter().find(|way| !whole.security_schemes.contains_key(*way)) {
                return Err(Error::Frame(format!("the surface {surface} names the unknown security scheme {way}")));
            }
        }
        Ok(whole)
    }
}

/// What is said of a surface.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct About {
    /// Its title; its name unless told.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Names of the ways to authenticate, any of which will do.
    pub security: Vec<String>,
}

/// The body of the errors of a dialect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// Its JSON schema.
    pub schema: Value,
    /// One such body.
    pub example: Value,
    /// Statuses that the dialect itself chooses: those below 500 wherever a call has input, the others anywhere.
    #[serde(default)]
    pub statuses: Vec<u16>,
}

/// A path that no RPC serves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    /// The surfaces whose documents have it too; the document of everything has it in any case.
    #[serde(default)]
    pub surfaces: Vec<String>,
    /// The path item, as OpenAPI has it.
    pub item: Value,
}

impl Dialect {
    /// AIP-193, which the transcoder speaks where no dialect has the name.
    pub fn aip193() -> Self {
        let text = json!({"type": "string"});
        let error = json!({
            "type": "object",
            "required": ["code", "status", "message", "details"],
            "properties": {
                "code": {"type": "integer", "description": "HTTP status."},
                "status": {"type": "string", "description": "Name of the gRPC code."},
                "message": {"type": "string", "description": "What went wrong."},
                "details": {
                    "type": "array",
                    "description": "Typed details, such as google.rpc.ErrorInfo.",
                    "items": {"type": "object", "required": ["@type"], "properties": {"@type": text}},
                },
            },
        });
        Self {
            schema: json!({"type": "object", "required": ["error"], "properties": {"error": error}}),
            example: json!({"error": {"code": 404, "status": "NOT_FOUND", "message": "no such resource", "details": []}}),
            statuses: Vec::new(),
        }
    }
}
