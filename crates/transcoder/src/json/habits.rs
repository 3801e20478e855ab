//! The choices that JSON leaves open, as one surface makes them.

use super::types::Types;

/// How a surface reads and writes JSON. [`Habits::PROTO3`] is the mapping of the protobuf specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Habits {
    /// Spelling of member names in what is written. Both spellings are read.
    pub names: Names,
    /// 64-bit integers are written as numbers instead of strings. Both are read.
    pub int64_as_number: bool,
    /// Unknown members and query keys are ignored instead of refused.
    pub ignore_unknown: bool,
    /// Member names are matched without regard to case.
    pub any_case: bool,
    /// Unset messages and optional fields are written as `null` instead of left out, but for those whose value null is
    /// (`google.protobuf.Value`): every reader would take them for set.
    pub unset_as_null: bool,
    /// Scalars, lists and maps without presence are written even when they have their default.
    pub print_defaults: bool,
    /// How timestamps are written.
    pub timestamps: Timestamps,
    /// How deep messages may be nested in what is read, and `Any`s in what is written.
    pub max_depth: u16,
    /// How many items of lists and entries of maps what is read may hold, all together: a small text of empty strings is
    /// large in memory.
    pub max_items: u32,
    /// The messages that `google.protobuf.Any` may hold, beside the well-known types.
    pub types: Types,
}

impl Habits {
    /// Plain proto3 JSON: defaults left out, 64-bit integers as strings, unknown members refused.
    pub const PROTO3: Habits = Habits {
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

/// Ways to write a timestamp; all are UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// RFC 3339 with `Z` and 0, 3, 6 or 9 digits.
    Rfc3339,
    /// RFC 3339 with `Z` and six digits.
    Microseconds,
    /// ISO 8601 with six digits and no offset.
    NaiveMicroseconds,
}
