//! The layers of `docs/architecture.md`: which module may use which, and how long a file may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::harness::{
    modules::{Modules, cycles},
    root,
};

/// The layers, lowest first. A module uses itself and the layers below.
const FLOORS: [&[&str]; 10] = [
    &["proto"],
    &["base"],
    &["store"],
    &["jobs", "providers", "streams"],
    &["openbao", "operations"],
    AREAS,
    &["auth"],
    &["api"],
    &["server"],
    &["cli"],
];

/// The domain areas: the only layer whose modules may use each other, without cycles.
const AREAS: &[&str] = &[
    "access",
    "audit",
    "controlplane",
    "edge",
    "enrollment",
    "entitlements",
    "fleet",
    "identity",
    "manager",
    "messaging",
    "policy",
    "spc",
    "tenants",
    "trust",
    "warehouse",
    "zerotrust",
];

/// The crates whose modules are checked for cycles, by their root files. `src/lib.rs` comes first: its own children are layers.
const CRATES: &[&str] = &[
    "src/lib.rs",
    "crates/gateway-sim/src/lib.rs",
    "crates/grpc-conformance/src/main.rs",
    "crates/tenantry-proto/src/lib.rs",
    "crates/text/src/lib.rs",
    "crates/transcoder-build/src/lib.rs",
    "crates/transcoder-conformance/src/lib.rs",
    "crates/transcoder/src/lib.rs",
    "migrations/src/lib.rs",
];

/// Directories whose files may depend on each other, with the reason.
const MAY_CYCLE: &[(&str, &str)] = &[(
    "crates/transcoder/src/json",
    "messages contain fields of kinds, which are messages again: the codec is recursive",
)];

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
    assert!(uses_of.is_empty(), "these areas form a cycle: {uses_of:?}");
}

/// In each directory, the dependencies between its files and subdirectories have no cycle. The directory's own `mod.rs` is left out:
/// it may use its files, and they may use it.
#[test]
fn modules_of_a_directory_form_no_cycle() {
    let mut wrong = Vec::new();
    let mut excused = BTreeSet::new();
    for crate_root in CRATES {
        let uses = Modules::read(&root().join(crate_root)).uses();
        let directories: BTreeSet<_> = uses.keys().filter_map(|file| file.parent()).collect();
        for directory in directories {
            // The layers have their own test.
            if directory == root().join("src") {
                continue;
            }
            let name = directory.strip_prefix(root()).unwrap().to_str().unwrap();
            for cycle in cycles(&entries(directory, &uses)) {
                match MAY_CYCLE.iter().find(|(known, _)| *known == name) {
                    Some((known, _)) => drop(excused.insert(*known)),
                    None => wrong.push(described(directory, &cycle, &uses)),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let stale: Vec<_> = MAY_CYCLE.iter().filter(|(known, _)| !excused.contains(known)).collect();
    assert!(stale.is_empty(), "remove these from the list; they have no cycle: {stale:?}");
}

type Uses = BTreeMap<PathBuf, BTreeSet<PathBuf>>;

/// The dependencies between the files and subdirectories of a directory.
fn entries(directory: &Path, uses: &Uses) -> BTreeMap<String, BTreeSet<String>> {
    let mut entries: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, used) in uses {
        let Some(own) = entry(directory, file) else { continue };
        let others = used.iter().filter_map(|file| entry(directory, file)).filter(|other| *other != own);
        entries.entry(own.clone()).or_default().extend(others);
    }
    entries
}

/// The entry of a directory that a file belongs to, without `.rs`; none for files elsewhere and for the directory's own module.
fn entry(directory: &Path, file: &Path) -> Option<String> {
    let inside = file.strip_prefix(directory).ok()?;
    let own = ["mod.rs", "lib.rs", "main.rs"].iter().any(|name| inside == Path::new(name));
    let first = inside.components().next()?.as_os_str().to_str()?;
    (!own).then(|| first.strip_suffix(".rs").unwrap_or(first).to_owned())
}

/// A cycle with the dependencies that form it.
fn described(directory: &Path, cycle: &BTreeSet<String>, uses: &Uses) -> String {
    let name = directory.strip_prefix(root()).unwrap_or(directory);
    let mut text = format!("{} has a cycle; remove one direction:", name.display());
    for (file, used) in uses {
        for other in used {
            let (own, other_entry) = (entry(directory, file), entry(directory, other));
            let both =
                [&own, &other_entry].iter().all(|entry| entry.as_ref().is_some_and(|entry| cycle.contains(entry)));
            if both && own != other_entry {
                let short = |file: &Path| file.strip_prefix(directory).unwrap().display().to_string();
                text += &format!("\n    {} uses {}", short(file), short(other));
            }
        }
    }
    text
}

#[test]
fn cycles_are_found_through_reexports_and_not_in_tests() {
    let crate_root = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = crate_root.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    file("lib.rs", "mod a; mod b; mod c; pub use a::Shown;");
    file("a/mod.rs", "pub mod deep;\npub use deep::Shown;");
    file("a/deep.rs", "pub struct Shown;\nfn f() { crate::b::g(); } // crate::c::h()");
    file("b.rs", "use crate::{Shown as S, c};\npub fn g() -> S { c::h(\"crate::b::g\", 'x') }");
    file("c.rs", "pub fn h() {}\n#[cfg(test)]\nmod tests { use crate::b::g; }");
    let uses = Modules::read(&crate_root.path().join("lib.rs")).uses();
    let found = cycles(&entries(crate_root.path(), &uses));
    assert_eq!(found, [BTreeSet::from(["a".to_owned(), "b".to_owned()])]);
    let text = described(crate_root.path(), &found[0], &uses).replace(crate_root.path().to_str().unwrap(), "");
    assert!(text.ends_with("\n    a/deep.rs uses b.rs\n    b.rs uses a/deep.rs"), "{text}");
}

/// A row leads to its entity, and so to the rows of all tenants, through `ModelTrait` and as an active model.
#[test]
fn rows_of_tenants_lead_to_no_entity_outside_the_store() {
    let tables = fs::read_to_string(root().join("src/store/tables/mod.rs")).unwrap();
    let rows: BTreeSet<_> = tables.split("Model as ").skip(1).map(|rest| heads(rest).remove(0)).collect();
    assert!(rows.contains("GroupRow"), "{rows:?}");
    let mut wrong = Vec::new();
    for (file, source) in sources("src").into_iter().filter(|(file, _)| !file.starts_with("src/store")) {
        let words: BTreeSet<_> = source.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let has_rows = rows.iter().any(|row| words.contains(row.as_str()));
        let active = ["ActiveModelTrait", "IntoActiveModel"].iter().any(|name| words.contains(name));
        if words.contains("ModelTrait") || has_rows && active {
            wrong.push(file);
        }
    }
    assert!(wrong.is_empty(), "move these queries to src/store/tables: {wrong:?}");
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
