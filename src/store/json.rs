//! Lists and maps stored as JSON text.

use serde::{Serialize, de::DeserializeOwned};

use crate::base::{Error, Result};

/// Serializes a value. Lists and maps of texts cannot fail.
pub fn to_text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// Deserializes a stored text.
pub fn from_text<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(Error::internal)
}
