//! Emits the paths of the surfaces.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::{model::SurfacePaths, names::literal};

/// Emits the table of the surfaces, sorted by name; nothing if there are none.
pub fn surfaces(surfaces: &BTreeMap<String, SurfacePaths>) -> String {
    if surfaces.is_empty() {
        return String::new();
    }
    let list = |texts: &[String]| texts.iter().map(|text| format!("{}, ", literal(text))).collect::<String>();
    let mut out =
        "/// The surfaces with their paths, sorted by name.\npub static SURFACES: &[::transcoder::SurfacePaths] = &[\n"
            .to_owned();
    for (name, paths) in surfaces {
        let aliases = paths.aliases.iter().map(|(from, to)| format!("({}, {}), ", literal(from), literal(to)));
        let _ = writeln!(
            out,
            "::transcoder::SurfacePaths {{ name: {}, error_dialect: {}, packages: &[{}], prefixes: &[{}], \
             error_prefixes: &[{}], aliases: &[{}] }},",
            literal(name),
            literal(&paths.error_dialect),
            list(&paths.packages),
            list(&paths.prefixes),
            list(&paths.error_prefixes),
            aliases.collect::<String>(),
        );
    }
    out + "];\n"
}
