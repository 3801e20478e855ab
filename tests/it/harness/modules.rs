//! The modules of a crate and their dependencies, read from `mod`, `use` and paths in the sources.
//!
//! Re-exports are followed to the file that defines a name, so a list of `pub use` is not a dependency. Methods, macros and
//! trait implementations are not resolved: calling a method needs no path to the file that defines it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A module with a file of its own.
struct Module {
    file: PathBuf,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    names: Names,
    defined: BTreeSet<String>,
}

/// The modules of a crate; the first is its root.
pub struct Modules(Vec<Module>);

/// The target of a path.
#[derive(Clone, Copy)]
enum Target {
    Module(usize),
    Item(usize),
}

impl Modules {
    /// Reads a crate from its root file (`lib.rs` or `main.rs`).
    pub fn read(root: &Path) -> Self {
        let mut modules = Self(Vec::new());
        modules.add(root.to_owned(), None);
        modules
    }

    fn add(&mut self, file: PathBuf, parent: Option<usize>) -> usize {
        let code = Code::of(&fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        let own = self.0.len();
        let (names, defined, children) = (code.names(), code.defined(), BTreeMap::new());
        self.0.push(Module { file: file.clone(), parent, children, names, defined });
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let folder = file.parent().unwrap();
        let folder = if ["lib", "main", "mod"].contains(&stem) { folder.to_owned() } else { folder.join(stem) };
        for name in code.children() {
            let files = [folder.join(format!("{name}.rs")), folder.join(&name).join("mod.rs")];
            if let Some(file) = files.into_iter().find(|file| file.exists()) {
                let child = self.add(file, Some(own));
                self.0[own].children.insert(name, child);
            }
        }
        own
    }

    /// The files that each file uses.
    pub fn uses(&self) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
        let used = |own: usize| {
            let items = self.0[own].names.paths.iter().filter_map(move |path| self.resolve(own, path, 16));
            let files = items.filter_map(move |target| match target {
                Target::Item(other) if other != own => Some(self.0[other].file.clone()),
                _ => None,
            });
            files.collect()
        };
        (0..self.0.len()).map(|own| (self.0[own].file.clone(), used(own))).collect()
    }

    /// The target of a path in a module. `depth` limits imports that refer to each other.
    fn resolve(&self, module: usize, path: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = path.split_first()?;
        let target = match first.as_str() {
            "crate" => Target::Module(0),
            "self" => Target::Module(module),
            "super" => Target::Module(self.0[module].parent?),
            name => self.find(module, name, depth)?,
        };
        rest.iter().try_fold(target, |target, name| match target {
            Target::Module(module) if name == "super" => self.0[module].parent.map(Target::Module),
            Target::Module(module) => self.find(module, name, depth),
            Target::Item(_) => Some(target),
        })
    }

    fn find(&self, module: usize, name: &str, depth: usize) -> Option<Target> {
        let depth = depth.checked_sub(1)?;
        let scope = &self.0[module];
        if scope.defined.contains(name) {
            return Some(Target::Item(module));
        }
        if let Some(child) = scope.children.get(name) {
            return Some(Target::Module(*child));
        }
        if let Some(path) = scope.names.imported.get(name).filter(|path| path.as_slice() != [name]) {
            return self.resolve(module, path, depth);
        }
        scope.names.globs.iter().find_map(|glob| match self.resolve(module, glob, depth)? {
            Target::Module(other) => self.find(other, name, depth),
            Target::Item(_) => None,
        })
    }
}

/// The tokens of a file, without comments, literals and tests.
struct Code(Vec<String>);

impl Code {
    fn of(source: &str) -> Self {
        let mut code = Self(tokens(source));
        while let Some(at) = code.0.windows(7).position(|window| window == ["#", "[", "cfg", "(", "test", ")", "]"]) {
            code.remove_item(at);
        }
        code
    }

    /// Removes an item with its attributes: up to its `;` or its closing brace.
    fn remove_item(&mut self, at: usize) {
        let mut depth = 0_usize;
        let mut end = at;
        for (index, token) in self.0.iter().enumerate().skip(at) {
            end = index;
            match token.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && (token == ";" || token == "}") {
                break;
            }
        }
        self.0.drain(at..=end);
    }

    /// Names of the modules that are declared with `mod name;`.
    fn children(&self) -> Vec<String> {
        let declared = self.0.windows(3).filter(|window| window[0] == "mod" && window[2] == ";");
        declared.map(|window| window[1].clone()).collect()
    }

    fn defined(&self) -> BTreeSet<String> {
        const KINDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "union"];
        let mut depth = 0_usize;
        let mut defined = BTreeSet::new();
        for (index, token) in self.0.iter().enumerate() {
            match token.as_str() {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                kind if depth == 0 && KINDS.contains(&kind) => defined.extend(self.0.get(index + 1).cloned()),
                _ => {}
            }
        }
        defined.remove("fn");
        defined
    }

    fn names(&self) -> Names {
        let mut names = Names::default();
        let mut index = 0;
        while index < self.0.len() {
            if self.0[index] == "use" {
                let public = index > 0 && ["pub", ")"].contains(&self.0[index - 1].as_str());
                let end = (index..self.0.len()).find(|at| self.0[*at] == ";").unwrap_or(self.0.len());
                names.add_use(&self.0[index + 1..end], public);
                index = end;
            } else if is_word(&self.0[index]) {
                let mut path = vec![self.0[index].clone()];
                while self.0.get(index + 1).is_some_and(|next| next == "::")
                    && self.0.get(index + 2).is_some_and(|next| is_word(next))
                {
                    path.push(self.0[index + 2].clone());
                    index += 2;
                }
                let before = index.checked_sub(2 * (path.len() - 1) + 1).map(|before| self.0[before].as_str());
                if !matches!(before, Some("::" | "." | "$")) {
                    names.paths.insert(path);
                }
            }
            index += 1;
        }
        names
    }
}

/// Names in the scope of a file, and the paths that it contains.
#[derive(Default)]
struct Names {
    /// Imported names, with their paths.
    imported: BTreeMap<String, Vec<String>>,
    /// Modules that are imported with `*`.
    globs: Vec<Vec<String>>,
    /// Paths in private `use` declarations and in code.
    paths: BTreeSet<Vec<String>>,
}

impl Names {
    fn add_use(&mut self, tree: &[String], public: bool) {
        let mut found = Vec::new();
        use_tree(tree, &[], &mut found);
        for (path, name) in found {
            match name {
                None => self.globs.push(path),
                Some(name) => {
                    if !public {
                        self.paths.insert(path.clone());
                    }
                    self.imported.insert(name, path);
                }
            }
        }
    }
}

/// The paths of a `use` declaration, each with the imported name; a glob has none.
fn use_tree(tokens: &[String], prefix: &[String], found: &mut Vec<(Vec<String>, Option<String>)>) {
    let mut path = prefix.to_vec();
    let mut index = 0;
    while index < tokens.len() {
        match tokens[index].as_str() {
            "::" => {}
            "*" => return found.push((path, None)),
            "{" => {
                let inside = &tokens[index + 1..tokens.len() - 1];
                let (mut depth, mut start) = (0, 0);
                for (at, token) in inside.iter().enumerate() {
                    match token.as_str() {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        "," if depth == 0 => {
                            use_tree(&inside[start..at], &path, found);
                            start = at + 1;
                        }
                        _ => {}
                    }
                }
                return use_tree(&inside[start..], &path, found);
            }
            "as" => return found.push((path, tokens.get(index + 1).cloned())),
            "self" if !path.is_empty() => {}
            word => path.push(word.to_owned()),
        }
        index += 1;
    }
    if path.len() > prefix.len() || tokens.iter().any(|token| token == "self") {
        let name = path.last().cloned();
        found.push((path, name));
    }
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::` and single characters, without comments and literals.
fn tokens(source: &str) -> Vec<String> {
    let chars: Vec<char> = source.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        at += match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['"', ..] => string(rest),
            ['r' | 'b', 'r' | '"' | '#', ..] if raw(rest).is_some() => raw(rest).unwrap_or(1),
            ['\'', '\\', ..] => 3 + rest[3..].iter().position(|c| *c == '\'').unwrap_or_default(),
            ['\'', _, '\'', ..] => 3,
            [':', ':', ..] => {
                tokens.push("::".to_owned());
                2
            }
            [c, ..] if c.is_alphanumeric() || *c == '_' => {
                let word: String = rest.iter().take_while(|c| c.is_alphanumeric() || **c == '_').collect();
                let length = word.chars().count();
                tokens.push(word);
                length
            }
            [c, ..] => {
                if !c.is_whitespace() {
                    tokens.push(c.to_string());
                }
                1
            }
            [] => 1,
        };
    }
    tokens
}

/// Length of a string literal.
fn string(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// Length of a raw string or byte string literal.
fn raw(chars: &[char]) -> Option<usize> {
    let text: String = chars.iter().take(12).collect();
    let start = ["r", "br", "b"]
        .into_iter()
        .find(|start| text.strip_prefix(start).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"')))?;
    let hashes = chars[start.len()..].iter().take_while(|c| **c == '#').count();
    let open = start.len() + hashes;
    if start == "b" {
        return (hashes == 0).then(|| 1 + string(&chars[1..]));
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let found = chars[open + 1..].windows(end.len()).position(|window| window == end)?;
    Some(open + 1 + found + end.len())
}

/// The strongly connected components of more than one node.
pub fn cycles<T: Clone + Ord>(uses: &BTreeMap<T, BTreeSet<T>>) -> Vec<BTreeSet<T>> {
    let reached = |from: &T| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(node) = open.pop() {
            for next in uses.get(&node).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    let reach: BTreeMap<T, BTreeSet<T>> = uses.keys().map(|node| (node.clone(), reached(node))).collect();
    let mut found: Vec<BTreeSet<T>> = Vec::new();
    for (node, seen) in &reach {
        let cycle: BTreeSet<T> =
            seen.iter().filter(|other| reach.get(*other).is_some_and(|back| back.contains(node))).cloned().collect();
        if cycle.len() > 1 && !found.contains(&cycle) {
            found.push(cycle);
        }
    }
    found
}
