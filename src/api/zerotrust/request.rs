//! Conversion of requests of this surface: the users that they name, and JSON objects.

use prost_types::{Struct, value::Kind};
use serde_json::{Map, Value};

use crate::{
    base::{Cx, Error, IdKind, Result},
    identity::UserRef,
};

/// A user of the call's tenant, in the version that the caller read.
pub(super) fn user_ref(cx: &Cx, user: String, version: Option<i64>) -> Result<UserRef> {
    Ok(UserRef { tenant: cx.tenant()?.clone(), user, version })
}

/// The user that a request names, or else the caller's own account. Callers without an account must name one.
pub(super) fn user_or_caller(cx: &Cx, user: Option<String>) -> Result<UserRef> {
    let own = || cx.caller.account.map(|account| IdKind::User.show(account));
    let user = user.or_else(own).ok_or_else(|| Error::missing_field("user_id"))?;
    user_ref(cx, user, None)
}

pub(super) fn from_struct(object: Struct) -> Map<String, Value> {
    object.fields.into_iter().map(|(name, value)| (name, from_value(value))).collect()
}

fn from_value(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => Value::Bool(value),
        Some(Kind::NumberValue(number)) => Value::from(number),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(from_value).collect(),
        Some(Kind::StructValue(object)) => Value::Object(from_struct(object)),
    }
}
