//! The choices that JSON leaves open, for one surface.

use super::types::Types;

/// How a surface reads and writes JSON. [`JsonOptions::PROTO3`] is the mapping of the protobuf specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonOptions {
    /// Spelling of member names in output. Input may use both.
    pub names: Names,
    /// 64-bit integers are written as numbers instead of strings. Both are accepted.
    pub int64_as_number: bool,
    /// Unknown members and query keys are ignored instead of refused.
    pub ignore_unknown: bool,
    /// Member names are matched case-insensitively.
    pub any_case: bool,
    /// Unset messages and optional fields are written as `null` instead of omitted, except those for which null is a
    /// value (`google.protobuf.Value`): a reader would take them as set.
    pub unset_as_null: bool,
    /// Scalars, lists and maps without presence are written even if they have their default value.
    pub print_defaults: bool,
    /// How timestamps are written.
    pub timestamps: Timestamps,
    /// The maximum nesting of messages in input, and of `Any`s in output.
    pub max_depth: u16,
    /// The maximum number of list items and map entries in one input: a short text of empty strings takes much memory.
    pub max_items: u32,
    /// The messages that `google.protobuf.Any` may contain, in addition to the well-known types.
    pub types: Types,
}

impl JsonOptions {
    /// Plain proto3 JSON: defaults omitted, 64-bit integers as strings, unknown members refused.
    pub const PROTO3: JsonOptions = JsonOptions {
        names: Names::Json,
        int64_as_number: false,
        ignore_unknown: false,
        any_case: false,
        unset_as_null: false,
        print_defaults: false,
        timestamps: Timestamps::Rfc3339,
        max_depth: 64,
        max_items: 10_000,
        types: Types::NONE,
    };
}

/// Spellings of member names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// The JSON name: lower camel case unless `json_name` says otherwise.
    Json,
    /// The proto name.
    Proto,
}

/// Formats of timestamps; all are UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// RFC 3339 with `Z` and 0, 3, 6 or 9 digits.
    Rfc3339,
    /// RFC 3339 with `Z` and six digits.
    Microseconds,
    /// ISO 8601 with six digits and no offset.
    NaiveMicroseconds,
}
