//! Values from flags, the environment and the TOML file, with their sources.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{
    Problem,
    settings::{self, CONFIG_VARIABLE, PREFIX, SETTINGS, Setting},
    shown,
};
use crate::base::setting_file;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command.
    Flag,
    /// Its environment variable.
    Environment,
    /// The TOML file.
    File(PathBuf),
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Environment => f.write_str("environment"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The texts of all settings that are set, each from the source with the highest precedence.
#[derive(Clone, Default)]
pub struct Layers(BTreeMap<&'static str, (String, Source)>);

/// The flags of a command: the key of each setting, and its text.
pub type Flags = [(&'static str, String)];

impl Layers {
    /// Merges flags over the environment over the file. All problems are collected, so that one run reports them
    /// together.
    pub(super) fn read(
        flags: &Flags,
        environment: impl Iterator<Item = (OsString, OsString)>,
        config_flag: Option<&str>,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let environment = ours(environment, problems);
        let mut layers = Self::default();
        let named = [config_flag, environment.get(CONFIG_VARIABLE).map(String::as_str)];
        if let Some(file) = named.into_iter().find_map(|named| cleaned_path(named, problems)) {
            layers.lay_file(Path::new(&file), problems);
        }
        layers.lay_environment(&environment, problems);
        for (key, value) in flags {
            layers.lay(key, value, Source::Flag, problems);
        }
        layers
    }

    /// The text of a setting, or its default; `None` if it has neither.
    pub fn text(&self, key: &str) -> Option<&str> {
        let default = settings::by_key(key).map(|setting| setting.default).filter(|text| !text.is_empty());
        self.0.get(key).map(|(value, _)| value.as_str()).or(default)
    }

    /// Whether a setting has a value other than its default one.
    pub fn is_set(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Each setting with its printable value and its source.
    pub fn shown(&self) -> impl Iterator<Item = (&'static Setting, String, Source)> {
        SETTINGS.iter().map(|setting| match self.0.get(setting.key) {
            Some((value, source)) => (setting, shown::show(setting.show, value), source.clone()),
            None => (setting, setting.default.to_owned(), Source::Default),
        })
    }

    /// Sets one value; every source is parsed in the same way.
    fn lay(&mut self, key: &'static str, text: &str, source: Source, problems: &mut Vec<Problem>) {
        match clean(text) {
            Ok(None) => {}
            Ok(Some(text)) => {
                self.0.insert(key, (text, source));
            }
            Err(why) => problems.push(Problem::of(key, why)),
        }
    }

    fn lay_environment(&mut self, environment: &BTreeMap<String, String>, problems: &mut Vec<Problem>) {
        for (variable, value) in environment {
            if let Some(setting) = settings::by_variable(variable) {
                self.lay(setting.key, value, Source::Environment, problems);
            } else if variable != CONFIG_VARIABLE && clean(value) != Ok(None) {
                problems.push(Problem::general(format!("unknown environment variable {variable}")));
            }
        }
    }

    fn lay_file(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        let values = match read_file(path) {
            Ok(values) => values,
            Err(problem) => return problems.push(Problem::general(problem)),
        };
        for (key, value) in values {
            let Some(setting) = settings::by_key(&key) else {
                problems.push(Problem::general(format!("unknown key {key} in {}", setting_file::shown(path))));
                continue;
            };
            match text(&value) {
                Some(text) => self.lay(setting.key, &text, Source::File(path.to_owned()), problems),
                None => problems.push(Problem::of(setting.key, "must be a plain value or a list")),
            }
        }
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown().map(|(setting, value, source)| (setting.key, (value, source)))).finish()
    }
}

/// A cleaned text: without a byte order mark and without surrounding white space, which files and secret stores add;
/// `None` if nothing is left. Settings contain no line breaks or other control characters, but the content of a file
/// does, if it was given instead of its name.
fn clean(text: &str) -> Result<Option<String>, &'static str> {
    let text = settings::trimmed(text);
    if text.contains(char::is_control) {
        return Err("must not contain line ends or other control characters");
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

fn cleaned_path(named: Option<&str>, problems: &mut Vec<Problem>) -> Option<String> {
    clean(named?).unwrap_or_else(|why| {
        problems.push(Problem::general(format!("--config ({CONFIG_VARIABLE}) {why}")));
        None
    })
}

/// Variables with our prefix. Only for them is a value that is not UTF-8 a problem.
fn ours(
    environment: impl Iterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let mut ours = BTreeMap::new();
    for (variable, value) in environment {
        let variable = variable.to_string_lossy().into_owned();
        let setting = settings::by_variable(&variable);
        if setting.is_none() && !variable.starts_with(PREFIX) {
            continue;
        }
        match (value.into_string(), setting) {
            (Ok(value), _) => {
                ours.insert(variable, value);
            }
            (Err(_), Some(setting)) => problems.push(Problem::of(setting.key, "must be UTF-8")),
            (Err(_), None) => problems.push(Problem::general(format!("{variable} must be UTF-8"))),
        }
    }
    ours
}

/// Reads a TOML file. The parser's error quotes the file, including secrets, so only its first line, the position of
/// the error, is reported.
fn read_file(path: &Path) -> Result<Table, String> {
    let name = setting_file::shown(path);
    let content = setting_file::read_text(path).map_err(|error| format!("configuration file {name}: {error}"))?;
    settings::trimmed(&content).parse().map_err(|error: toml::de::Error| {
        let place = error.to_string().lines().next().unwrap_or_default().to_owned();
        format!("configuration file {name} is not valid TOML: {place}")
    })
}

/// The text of a TOML value in the form of a variable: lists with commas.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Boolean(value) => Some(value.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Array(items) => items.iter().map(text).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        _ => None,
    }
}
