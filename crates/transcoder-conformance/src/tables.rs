//! The tables of cases: files to which cases can be added without code. `tests/conformance/README.md` describes their
//! formats.
//!
//! They are read when the tests run.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// The root of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Names an additional folder of tables, absolute or relative to the root of the repository.
pub const VARIABLE: &str = "TENANTRY_CONFORMANCE_DIR";

/// A table of cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Path templates: the grammar, conflicts, matching.
    HttpRules,
    /// Queries and the messages that they bind.
    QueryParams,
    /// proto3 JSON.
    Proto3Json,
    /// Google's REST compliance suite.
    ComplianceSuite,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 4] = [Self::HttpRules, Self::QueryParams, Self::Proto3Json, Self::ComplianceSuite];

    /// The common start of its file names.
    pub fn stem(self) -> &'static str {
        match self {
            Self::HttpRules => "http_rules",
            Self::QueryParams => "query_params",
            Self::Proto3Json => "proto3_json",
            Self::ComplianceSuite => "compliance_suite",
        }
    }

    /// Whether a file with this name has cases of the table: `http_rules.json`, `http_rules.more.json`,
    /// `http_rules-more.json`, `http_rules_more.json`.
    pub fn has(self, name: &str) -> bool {
        let rest = name.strip_prefix(self.stem()).and_then(|rest| rest.strip_suffix(".json"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
    }

    /// The files of the table in [`folders`].
    ///
    /// # Errors
    /// Those of [`folders`] and [`Table::read`].
    pub fn files(self) -> Result<Vec<File>, String> {
        self.read(&folders()?)
    }

    /// The files of the table in some folders, by name.
    ///
    /// # Errors
    /// A folder or file cannot be read, or there is no file of the table.
    pub fn read(self, folders: &[PathBuf]) -> Result<Vec<File>, String> {
        let mut files = Vec::new();
        for path in names(folders)?.into_iter().filter(|path| self.is_of(path)) {
            let text = fs::read_to_string(&path).map_err(|why| format!("{}: {why}", path.display()))?;
            files.push(File { path: path.display().to_string(), text });
        }
        if files.is_empty() { Err(format!("no {}.json in {folders:?}", self.stem())) } else { Ok(files) }
    }

    fn is_of(self, path: &Path) -> bool {
        path.file_name().is_some_and(|name| self.has(&name.to_string_lossy()))
    }
}

/// The folders of tables: `tests/conformance`, and the one in [`VARIABLE`].
///
/// # Errors
/// The named folder cannot be read or has no table.
pub fn folders() -> Result<Vec<PathBuf>, String> {
    let own = Path::new(ROOT).join("tests/conformance");
    match env::var_os(VARIABLE).filter(|named| !named.is_empty()) {
        None => Ok(vec![own]),
        Some(named) => with_named(own, Path::new(ROOT).join(named)),
    }
}

/// The own folder and a named one, which must have a table.
///
/// # Errors
/// The named folder cannot be read or has no table.
pub fn with_named(own: PathBuf, named: PathBuf) -> Result<Vec<PathBuf>, String> {
    let files = names(std::slice::from_ref(&named)).map_err(|why| format!("{VARIABLE} names a folder: {why}"))?;
    if !files.iter().any(|path| Table::ALL.iter().any(|table| table.is_of(path))) {
        let stems = Table::ALL.map(Table::stem).join(", ");
        return Err(format!("{VARIABLE} names {}, which has no file of the tables {stems}", named.display()));
    }
    let again = fs::canonicalize(&own).ok() == fs::canonicalize(&named).ok();
    Ok(if again { vec![own] } else { vec![own, named] })
}

/// The entries of some folders, each sorted.
fn names(folders: &[PathBuf]) -> Result<Vec<PathBuf>, String> {
    let mut all = Vec::new();
    for folder in folders {
        let failed = |why: std::io::Error| format!("{}: {why}", folder.display());
        let entries = fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = entries.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        paths.sort();
        all.append(&mut paths);
    }
    Ok(all)
}

/// A file of a table.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path.
    pub path: String,
    /// Its content.
    pub text: String,
}

impl File {
    /// Parses it.
    ///
    /// # Errors
    /// It is not JSON, or has an unknown member.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_str(&self.text).map_err(|why| format!("{}: {why}", self.path))
    }
}

/// A file of [`Table::HttpRules`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpRules {
    /// A description for readers.
    pub about: Value,
    /// Templates that parse.
    pub templates_valid: Vec<Value>,
    /// Templates that do not parse.
    pub templates_invalid: Vec<Value>,
    /// Rules that conflict, or do not.
    pub conflicts: Vec<Value>,
    /// Rules, and requests to match.
    pub matching: Vec<Value>,
}

/// A file of [`Table::QueryParams`] or [`Table::Proto3Json`].
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cases {
    /// A description for readers.
    pub about: Value,
    /// The messages of the cases.
    pub schema: Option<Schema>,
    /// The cases.
    pub cases: Vec<Value>,
}

/// The messages of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// Package.
    pub package: String,
    /// `proto3`.
    pub syntax: String,
    /// Name of the default message of cases.
    pub root: String,
    /// Fields by name of the message.
    #[serde(default)]
    pub messages: std::collections::BTreeMap<String, Vec<SchemaField>>,
    /// Values by name of the enum.
    #[serde(default)]
    pub enums: std::collections::BTreeMap<String, Vec<SchemaValue>>,
}

/// A field of a [`Schema`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaField {
    /// Number.
    pub number: u32,
    /// Proto name.
    pub name: String,
    /// Type in proto syntax; messages of the schema by their local name.
    pub r#type: String,
    /// `optional` or `repeated`.
    #[serde(default)]
    pub label: String,
    /// The oneof that it belongs to.
    pub oneof: Option<String>,
    /// JSON name, unless it is the default one.
    pub json_name: Option<String>,
}

/// A value of an enum of a [`Schema`].
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchemaValue {
    /// Name.
    pub name: String,
    /// Number.
    pub number: i32,
}
