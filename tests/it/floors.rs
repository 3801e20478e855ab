//! The layers of `docs/architecture.md`: which module may use which, and how long a file may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::harness::root;

/// The layers, lowest first. A module uses itself and the layers below.
const FLOORS: [&[&str]; 9] = [
    &["proto"],
    &["base"],
    &["store", "providers"],
    &["jobs", "streams"],
    AREAS,
    &["auth"],
    &["api"],
    &["server"],
    &["cli"],
];

/// The domain areas: the only layer whose modules may use each other, without cycles.
const AREAS: &[&str] =
    &["audit", "controlplane", "entitlements", "identity", "manager", "messaging", "tenants", "warehouse", "zerotrust"];

/// Maximum length of a file, in lines.
const LONGEST: usize = 450;

#[test]
fn every_file_uses_only_lower_layers() {
    let mut wrong = Vec::new();
    for (file, source) in sources("src") {
        let Some(own) = part(&file) else { continue };
        let Some(own_floor) = floor(&own) else {
            wrong.push(format!("{}: name the floor of `{own}` in tests/it/floors.rs", file.display()));
            continue;
        };
        for used in uses(&file, &source) {
            let between_areas = AREAS.contains(&own.as_str()) && AREAS.contains(&used.as_str());
            if used != own && !between_areas && floor(&used).is_some_and(|below| below >= own_floor) {
                wrong.push(format!("{} uses `{used}`, which does not stand below it", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn areas_have_no_cycles() {
    let mut uses_of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, source) in sources("src") {
        let Some(own) = part(&file).filter(|own| AREAS.contains(&own.as_str())) else { continue };
        let used = uses(&file, &source);
        let others = used.into_iter().filter(|used| *used != own && AREAS.contains(&used.as_str())).collect::<Vec<_>>();
        uses_of.entry(own).or_default().extend(others);
    }
    // Repeatedly removes areas that use no remaining area; those that are left form a cycle.
    while let Some(done) = uses_of.iter().find(|(_, used)| used.is_empty()).map(|(area, _)| area.clone()) {
        uses_of.remove(&done);
        uses_of.values_mut().for_each(|used| used.retain(|area| *area != done));
        let left: BTreeSet<_> = uses_of.keys().cloned().collect();
        uses_of.values_mut().for_each(|used| used.retain(|area| left.contains(area)));
    }
    assert!(uses_of.is_empty(), "these areas use each other in a circle: {uses_of:?}");
}

#[test]
fn no_file_is_too_long() {
    let parts = ["src", "crates", "migrations", "tests", "benches"];
    let files = parts.iter().filter(|part| root().join(part).exists()).flat_map(|part| sources(part));
    let long: Vec<_> =
        files.map(|(file, source)| (file, source.lines().count())).filter(|(_, lines)| *lines > LONGEST).collect();
    assert!(long.is_empty(), "split these files: {long:?}");
}

/// The top-level module of a file in `src/`; none for the crate's own two files.
fn part(file: &Path) -> Option<String> {
    let first = file.components().nth(1)?.as_os_str().to_str()?;
    let name = first.strip_suffix(".rs").unwrap_or(first);
    (!["lib", "main"].contains(&name)).then(|| name.to_owned())
}

fn floor(part: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&part))
}

/// The top-level modules that a file refers to: `crate::part`, `crate::{part, ...}`, and `super::` where it
/// leaves the module.
fn uses(file: &Path, source: &str) -> BTreeSet<String> {
    let code: String =
        source.lines().map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect();
    let mut uses = BTreeSet::new();
    for (at, found) in code.match_indices("crate::") {
        // `$crate::` and `tenantry_crate::` do not count.
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            uses.extend(heads(&code[at + found.len()..]));
        }
    }
    // `src/a/b.rs` leaves its module with two `super::`, `src/a/mod.rs` with one.
    let mut up = file.components().count() - 1;
    if ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| file.ends_with(name)) {
        up -= 1;
    }
    let climb = "super::".repeat(up.max(1));
    for (at, _) in code.match_indices(&climb) {
        if !code[..at].ends_with("super::") {
            uses.extend(heads(&code[at + climb.len()..]).into_iter().filter(|head| up > 0 && floor(head).is_some()));
        }
    }
    uses
}

/// The first segments of a path, or of each path in braces.
fn heads(path: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let mut heads = vec![word(group.trim_start())];
    let mut depth = 0;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(word(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    heads
}

/// All Rust files in a directory of the repository, by path.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(root()).unwrap().to_owned();
                found.push((inside, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn uses_are_found_however_they_are_written() {
    let source = "use crate::{base::{Cx, Error}, store::{self, Tx},\n    tenants};\n// crate::cli\nfn f() { crate::auth::f(); $crate::x() }\n\
                  use super::super::server::X; use super::inner;";
    let found: Vec<_> = uses(Path::new("src/api/messaging.rs"), source).into_iter().collect();
    assert_eq!(found, ["auth", "base", "server", "store", "tenants"]);
    let found: Vec<_> =
        uses(Path::new("src/api/mod.rs"), "use super::server; use self::messaging;").into_iter().collect();
    assert_eq!(found, ["server"]);
}
