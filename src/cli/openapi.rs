//! `tenantry openapi`: prints an OpenAPI document, as served, with line breaks.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::builder::PossibleValuesParser;

use super::output;
use crate::{base::setting_file, server::docs};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Surface to describe [default: all]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(docs::surfaces()))]
    surface: Option<String>,
    /// File to write the document to [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &Args) -> anyhow::Result<()> {
    let document = docs::document(arguments.surface.as_deref()).context("there is no such document")?;
    let document: serde_json::Value = serde_json::from_slice(document)?;
    let text = serde_json::to_string_pretty(&document)? + "\n";
    match &arguments.output {
        Some(path) => fs::write(path, text).with_context(|| format!("cannot write {}", setting_file::shown(path))),
        None => output::product(text.as_bytes()),
    }
}
