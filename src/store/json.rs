//! Lists and maps as the tables keep them: JSON text.

use serde::{Serialize, de::DeserializeOwned};

use crate::base::{Error, Result};

/// A value as text. Lists and maps of texts always have one.
pub fn to_text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// The value of a stored text.
pub fn from_text<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(Error::internal)
}
