//! The option `(surface)`.

use prost_reflect::DynamicMessage;

use super::read::{enum_name, flag, messages, statuses, text, texts};

/// `(surface)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surface {
    pub name: String,
    /// Name of its error dialect.
    pub error_dialect: String,
    /// Member names are written as proto names.
    pub snake_case: bool,
    /// 64-bit integers are written as numbers.
    pub int64_as_number: bool,
    /// Unknown members and query keys are ignored.
    pub ignore_unknown: bool,
    /// Names are matched case-insensitively.
    pub any_case: bool,
    /// Unset messages and optional fields are written as null.
    pub unset_as_null: bool,
    /// Scalars, lists and maps without presence are omitted if they have their default value.
    pub omit_defaults: bool,
    /// Variant of `Timestamps`.
    pub timestamps: String,
    /// Variant of `TrailingSlash`.
    pub trailing_slash: String,
    /// A body of only white space counts as no body.
    pub blank_body_absent: bool,
    /// Paths of the surface, each including all paths below it.
    pub prefixes: Vec<String>,
    /// Other paths whose errors use the surface's dialect.
    pub error_prefixes: Vec<String>,
    /// Aliases of paths: from and to.
    pub aliases: Vec<(String, String)>,
    /// Status by reason, for methods without their own.
    pub status: Vec<(String, u32)>,
}

impl Surface {
    /// Reads the option.
    pub(super) fn of(rule: &DynamicMessage) -> Self {
        let is = |field: &str, name: &str| enum_name(rule, field, "") == name;
        Self {
            name: text(rule, "name"),
            error_dialect: text(rule, "error_dialect"),
            snake_case: is("names", "NAMES_SNAKE_CASE"),
            int64_as_number: is("int64", "INT64_NUMBER"),
            ignore_unknown: is("unknown", "UNKNOWN_IGNORE"),
            any_case: flag(rule, "any_case"),
            unset_as_null: is("unset", "UNSET_NULL"),
            omit_defaults: is("defaults", "DEFAULTS_OMIT"),
            timestamps: enum_name(rule, "timestamps", "TIMESTAMPS_"),
            trailing_slash: enum_name(rule, "trailing_slash", "TRAILING_SLASH_"),
            blank_body_absent: is("blank_body", "BLANK_BODY_ABSENT"),
            prefixes: texts(rule, "prefix"),
            error_prefixes: texts(rule, "error_prefix"),
            aliases: messages(rule, "path_alias").map(|alias| (text(&alias, "from"), text(&alias, "to"))).collect(),
            status: statuses(rule),
        }
    }

    /// The aliases of a path.
    pub(super) fn alias_of(&self, path: &str) -> Vec<String> {
        let other = |(from, to): &(String, String)| below(from, path).map(|rest| format!("{to}{rest}"));
        self.aliases.iter().filter_map(other).collect()
    }
}

/// The rest of a path after a prefix of whole segments.
pub fn below<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
}
