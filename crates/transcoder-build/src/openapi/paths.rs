//! Path templates in the syntax of OpenAPI, and the path items of a document.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::template::{Segment, Template};

/// A path template in the syntax of OpenAPI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path, with its variables in braces.
    pub path: String,
    /// The variables in order.
    pub variables: Vec<Variable>,
}

/// A variable of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name in the path.
    pub name: String,
    /// Path of the field that it binds, possibly together with other segments.
    pub field: Option<String>,
    /// The template of the field, if the variable is only a part of it.
    pub within: Option<String>,
    /// It matches any number of segments.
    pub rest: bool,
}

impl Place {
    /// Converts a template. A variable of several segments becomes one variable for each wildcard: a variable of
    /// OpenAPI is a single segment.
    pub fn new(template: &Template) -> Self {
        let mut place = Self { path: String::new(), variables: Vec::new() };
        for (index, segment) in template.segments.iter().enumerate() {
            place.path.push('/');
            match segment {
                Segment::Literal(text) => place.path.push_str(text),
                wild => {
                    let variable = place.variable(template, index, *wild == Segment::Rest);
                    place.path.push_str(&format!("{{{}}}", variable.name));
                    place.variables.push(variable);
                }
            }
        }
        if !template.verb.is_empty() {
            place.path.push_str(&format!(":{}", template.verb));
        }
        place
    }

    fn variable(&self, template: &Template, index: usize, rest: bool) -> Variable {
        let number = self.variables.len() + 1;
        let Some(owner) = template.variables.iter().find(|v| (v.first..=v.last).contains(&index)) else {
            return Variable { name: format!("segment_{number}"), field: None, within: None, rest };
        };
        let parts = &template.segments[owner.first..=owner.last];
        let wild = parts.iter().filter(|part| !matches!(part, Segment::Literal(_))).count();
        let ordinal = self.variables.iter().filter(|v| v.field.as_ref() == Some(&owner.field)).count() + 1;
        let name = if wild == 1 { owner.field.clone() } else { format!("{}_{ordinal}", owner.field) };
        let within = (parts.len() > 1).then(|| {
            let texts = parts.iter().map(|part| match part {
                Segment::Literal(text) => text.as_str(),
                Segment::Any => "*",
                Segment::Rest => "**",
            });
            texts.collect::<Vec<_>>().join("/")
        });
        Variable { name, field: Some(owner.field.clone()), within, rest }
    }

    /// The path without the names of its variables: OpenAPI treats paths that differ only in these as identical.
    fn shape(&self) -> String {
        let mut shape = String::new();
        let mut parts = self.path.split('{');
        shape.push_str(parts.next().unwrap_or_default());
        for part in parts {
            shape.push_str("{}");
            shape.push_str(part.split_once('}').map_or("", |(_, after)| after));
        }
        shape
    }
}

/// The paths of a document.
#[derive(Debug, Default)]
pub struct Paths {
    items: BTreeMap<String, Map<String, Value>>,
    shapes: HashMap<String, Place>,
}

impl Paths {
    /// The spelling of the path in the document: that of the first path with the same shape.
    pub fn settle(&mut self, place: Place) -> Place {
        let first = self.shapes.entry(place.shape()).or_insert_with(|| place.clone());
        let named = place.variables.into_iter().zip(&first.variables);
        let variables = named.map(|(variable, first)| Variable { name: first.name.clone(), ..variable }).collect();
        Place { path: first.path.clone(), variables }
    }

    /// Adds an operation, unless the path already has one for the method.
    pub fn add(&mut self, path: &str, method: &str, operation: Value) {
        let item = self.items.entry(path.to_owned()).or_default();
        item.entry(method.to_ascii_lowercase()).or_insert(operation);
    }

    /// Adds a whole path item.
    pub fn add_item(&mut self, path: &str, item: &Value) {
        let members = item.as_object().into_iter().flatten();
        self.items.entry(path.to_owned()).or_default().extend(members.map(|(key, value)| (key.clone(), value.clone())));
    }

    /// All path items.
    pub fn finish(self) -> Value {
        json!(self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        Place::new(&Template::parse(text).unwrap())
    }

    fn names(place: &Place) -> Vec<&str> {
        place.variables.iter().map(|variable| variable.name.as_str()).collect()
    }

    #[test]
    fn variables_of_one_segment_keep_their_names() {
        let place = place("/v1/{tenant}/things/{thing.name}:act");
        assert_eq!(place.path, "/v1/{tenant}/things/{thing.name}:act");
        assert_eq!(names(&place), ["tenant", "thing.name"]);
        assert!(place.variables.iter().all(|variable| variable.within.is_none()));
    }

    #[test]
    fn variables_of_several_segments_are_split() {
        let long = place("/v1/{name=shelves/*/books/*}/{tail=**}");
        assert_eq!(long.path, "/v1/shelves/{name_1}/books/{name_2}/{tail}");
        assert_eq!(names(&long), ["name_1", "name_2", "tail"]);
        assert_eq!(long.variables[0].within.as_deref(), Some("shelves/*/books/*"));
        assert!(long.variables[2].rest && long.variables[2].within.is_none());
        let short = place("/v1/{name=shelves/*}/*");
        assert_eq!(short.path, "/v1/shelves/{name}/{segment_2}");
    }

    #[test]
    fn paths_of_one_shape_are_one_path() {
        let mut paths = Paths::default();
        assert_eq!(paths.settle(place("/a/{one}/b")).path, "/a/{one}/b");
        let second = paths.settle(place("/a/{two}/b"));
        assert_eq!((second.path.as_str(), names(&second)), ("/a/{one}/b", vec!["one"]));
        assert_eq!(second.variables[0].field.as_deref(), Some("two"));
        assert_eq!(paths.settle(place("/a/{two}")).path, "/a/{two}");
    }
}
