//! Permissions are decided by the rules of the protos: the server's code names none of them, and only the guard compares them
//! with the roles of a caller.

use std::{fs, path::Path};

use tenantry::proto::permissions::names;

/// The Rust files below a folder, without those of tests.
fn sources(dir: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            sources(&path, found);
        } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            found.push((name, code.to_owned()));
        }
    }
}

/// The permissions that a source names.
fn named(source: &str) -> Vec<&'static str> {
    names().filter(|permission| source.contains(&format!("\"{permission}\""))).collect()
}

#[test]
fn no_source_names_a_permission() {
    assert_eq!(
        named(r#"holds(roles, "zerotrust.users.read")"#),
        ["zerotrust.users.read"],
        "the search does not find permissions"
    );
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 100, "{} files", files.len());
    for (file, source) in &files {
        assert_eq!(named(source), [""; 0], "{file}: name the permission in the protos");
    }
}

#[test]
fn only_the_guard_checks_the_permissions_of_roles() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let asks = |(_, source): &&(String, String)| source.contains("permissions::");
    let asking = files.iter().filter(asks).map(|(file, _)| file.rsplit("/src/").next().unwrap_or_default());
    assert_eq!(asking.collect::<Vec<_>>(), ["auth/authz/roles.rs"]);
}
