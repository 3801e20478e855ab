//! Content of the documents that is not in the protos; the build script passes it as JSON.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::Error;

/// The frame of the documents. All members are optional.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Frame {
    /// The `info` of the documents.
    pub info: Map<String, Value>,
    /// Security schemes by name, as in OpenAPI.
    pub security_schemes: Map<String, Value>,
    /// Descriptions of surfaces, by name.
    pub surfaces: BTreeMap<String, About>,
    /// The error bodies, by dialect.
    pub dialects: BTreeMap<String, Dialect>,
    /// Tags of the fixed paths, as in OpenAPI.
    pub tags: Vec<Value>,
    /// Paths that no RPC serves.
    pub paths: BTreeMap<String, Fixed>,
}

impl Frame {
    /// Merges the parts of a frame.
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

/// The description of a surface.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct About {
    /// Its title; the name by default.
    pub title: String,
    /// What it is for.
    pub description: String,
    /// Names of security schemes, of which any one suffices.
    pub security: Vec<String>,
}

/// The body of the errors of a dialect.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dialect {
    /// Its JSON schema.
    pub schema: Value,
    /// An example.
    pub example: Value,
    /// Statuses that the dialect itself chooses: those below 500 for calls with input, the others for all.
    #[serde(default)]
    pub statuses: Vec<u16>,
}

/// A path that no RPC serves.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    /// The surfaces whose documents include it; the document of all surfaces always does.
    #[serde(default)]
    pub surfaces: Vec<String>,
    /// The path item, as in OpenAPI.
    pub item: Value,
}

impl Dialect {
    /// AIP-193, the dialect of surfaces without one.
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
