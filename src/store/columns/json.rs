//! Lists and objects stored as JSON text.

use std::ops::Deref;

use sea_orm::{
    ColIdx, DbErr, QueryResult, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::base::{Error, Result};

/// A value in a text column, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T> Deref for Json<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Serialize> From<Json<T>> for Value {
    /// Lists and maps of texts can always be serialized. For a value that cannot, this is NULL, which the columns refuse.
    fn from(value: Json<T>) -> Self {
        serde_json::to_string(&value.0).ok().into()
    }
}

impl<T: DeserializeOwned> TryGetable for Json<T> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> Result<Self, TryGetError> {
        let text = String::try_get_by(row, index)?;
        serde_json::from_str(&text).map(Self).map_err(|error| DbErr::Json(error.to_string()).into())
    }
}

impl<T: DeserializeOwned> ValueType for Json<T> {
    fn try_from(value: Value) -> Result<Self, ValueTypeErr> {
        let text = <String as ValueType>::try_from(value)?;
        serde_json::from_str(&text).map(Self).map_err(|_| ValueTypeErr)
    }

    fn type_name() -> String {
        "Json".to_owned()
    }

    fn array_type() -> ArrayType {
        String::array_type()
    }

    fn column_type() -> ColumnType {
        String::column_type()
    }
}

impl<T> Nullable for Json<T> {
    fn null() -> Value {
        String::null()
    }
}

/// Serializes a value whose type the store does not know. Lists and maps of texts cannot fail.
pub fn to_text<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::internal)
}

/// Deserializes a stored text.
pub fn from_text<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_value_is_stored_as_its_json_text() {
        let labels = Json(BTreeMap::from([("env".to_owned(), "dev".to_owned())]));
        assert_eq!(Value::from(labels.clone()), Value::from(r#"{"env":"dev"}"#));
        assert!(<Json<_> as ValueType>::try_from(labels.clone().into()).is_ok_and(|read| read == labels));
        assert!(<Json<Vec<String>> as ValueType>::try_from("no JSON".into()).is_err());
    }

    #[test]
    fn a_value_that_cannot_be_serialized_is_null() {
        let unfit = Json(BTreeMap::from([(vec![1_u8], 1_u8)]));
        assert_eq!(Value::from(unfit), Json::<u8>::null());
    }
}
