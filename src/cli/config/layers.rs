//! Values from flags, the environment and the TOML file, and where each came from.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Format, Toml},
    value::{Dict, Value},
};

use super::settings::{self, CONFIG_VARIABLE, PREFIX, SETTINGS, Setting, Show};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A flag of the command.
    Flag,
    /// Its environment variable.
    Environment,
    /// The TOML file.
    File(PathBuf),
    /// Nothing was set.
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

/// The texts of all settings that are set, the strongest source of each.
#[derive(Clone, Default)]
pub struct Layers(BTreeMap<&'static str, (String, Source)>);

impl Layers {
    /// Lays flags over the environment over the file. An empty text counts as not set. Problems are collected, so that
    /// one run tells them all.
    pub fn read(
        flags: &[(&'static str, String)],
        environment: impl Iterator<Item = (String, String)>,
        config_flag: Option<&Path>,
        problems: &mut Vec<String>,
    ) -> Self {
        let environment: BTreeMap<String, String> = environment.filter(|(_, value)| !value.is_empty()).collect();
        let mut layers = Self::default();
        let file = config_flag.map(Path::to_owned).or_else(|| environment.get(CONFIG_VARIABLE).map(PathBuf::from));
        if let Some(file) = file {
            layers.lay_file(&file, problems);
        }
        layers.lay_environment(&environment, problems);
        for (key, value) in flags {
            layers.0.insert(key, (value.clone(), Source::Flag));
        }
        layers
    }

    /// The text of a setting, or its default; `None` if it has neither.
    pub fn text(&self, key: &str) -> Option<&str> {
        let default = settings::by_key(key).map(|setting| setting.default).filter(|text| !text.is_empty());
        self.0.get(key).map(|(value, _)| value.as_str()).or(default)
    }

    /// Each setting with the value to show and its source.
    pub fn shown(&self) -> impl Iterator<Item = (&'static Setting, String, Source)> {
        SETTINGS.iter().map(|setting| match self.0.get(setting.key) {
            Some((value, source)) => (setting, show(setting.show, value), source.clone()),
            None => (setting, setting.default.to_owned(), Source::Default),
        })
    }

    fn lay_environment(&mut self, environment: &BTreeMap<String, String>, problems: &mut Vec<String>) {
        for (variable, value) in environment {
            if let Some(setting) = settings::by_variable(variable) {
                self.0.insert(setting.key, (value.clone(), Source::Environment));
            } else if variable.starts_with(PREFIX) && variable != CONFIG_VARIABLE {
                problems.push(format!("unknown environment variable {variable}"));
            }
        }
    }

    fn lay_file(&mut self, path: &Path, problems: &mut Vec<String>) {
        let values = match read_file(path) {
            Ok(values) => values,
            Err(problem) => return problems.push(problem),
        };
        for (key, value) in values {
            match (settings::by_key(&key), text(&value)) {
                (None, _) => problems.push(format!("unknown key {key} in {}", path.display())),
                (Some(_), None) => {
                    problems.push(format!("{key} in {} must be a plain value or a list", path.display()))
                }
                (Some(_), Some(text)) if text.is_empty() => {}
                (Some(setting), Some(text)) => {
                    self.0.insert(setting.key, (text, Source::File(path.to_owned())));
                }
            }
        }
    }
}

impl fmt::Debug for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown().map(|(setting, value, source)| (setting.key, (value, source)))).finish()
    }
}

/// Reads a TOML file. What the parser says of a bad one quotes the file, secrets and all, so only its first line, the
/// place of the error, is told.
fn read_file(path: &Path) -> Result<Dict, String> {
    let name = path.display();
    let content = std::fs::read_to_string(path).map_err(|error| format!("configuration file {name}: {error}"))?;
    Figment::from(Toml::string(&content)).extract().map_err(|error| {
        let place = error.to_string().lines().next().unwrap_or_default().to_owned();
        format!("configuration file {name} is not valid TOML: {place}")
    })
}

/// The text of a TOML value as a variable would give it: lists with commas.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Bool(_, value) => Some(value.to_string()),
        Value::Num(_, number) => {
            number.to_i128().map(|n| n.to_string()).or_else(|| number.to_u128().map(|n| n.to_string()))
        }
        Value::Array(_, items) => items.iter().map(text).collect::<Option<Vec<_>>>().map(|items| items.join(",")),
        _ => None,
    }
}

/// A value as it may be printed.
fn show(how: Show, value: &str) -> String {
    match how {
        Show::Plain => value.to_owned(),
        Show::Masked => "***".to_owned(),
        Show::Url => {
            let value = value.split_once('?').map_or(value.to_owned(), |(head, _)| format!("{head}?***"));
            match (value.split_once("://"), value.rsplit_once('@')) {
                (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://***@{rest}"),
                _ => value,
            }
        }
    }
}
