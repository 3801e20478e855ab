//! The difference between two policies: ids of routes, and names of sections.

use std::collections::HashMap;

use super::document::{Document, Route, with_sections};

/// What differs. Sections come before routes, each in the order of the policies. The order of the routes is not compared, as
/// it has no meaning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
}

/// The difference of a policy to the one before.
pub fn between(before: &Document, after: &Document) -> Diff {
    let mut diff = Diff::default();
    macro_rules! compare {
        ($($section:ident),*) => {
            $(diff.section(stringify!($section), before.$section.as_ref(), after.$section.as_ref());)*
        };
    }
    with_sections!(compare);
    diff.routes(before.routes.as_deref().unwrap_or_default(), after.routes.as_deref().unwrap_or_default());
    diff
}

impl Diff {
    fn section<T: PartialEq>(&mut self, name: &str, before: Option<&T>, after: Option<&T>) {
        match (before, after) {
            (None, Some(_)) => self.added.push(name.to_owned()),
            (Some(_), None) => self.removed.push(name.to_owned()),
            // Which routes changed is in their ids.
            (Some(before), Some(after)) if before != after && name != "routes" => self.changed.push(name.to_owned()),
            _ => {}
        }
    }

    fn routes(&mut self, before: &[Route], after: &[Route]) {
        let (old, new) = (by_id(before), by_id(after));
        for route in after {
            match old.get(route.id.as_str()) {
                None => self.added.push(route.id.clone()),
                Some(other) if *other != route => self.changed.push(route.id.clone()),
                Some(_) => {}
            }
        }
        let gone = before.iter().filter(|route| !new.contains_key(route.id.as_str()));
        self.removed.extend(gone.map(|route| route.id.clone()));
    }
}

fn by_id(routes: &[Route]) -> HashMap<&str, &Route> {
    routes.iter().map(|route| (route.id.as_str(), route)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(json: &str) -> Document {
        Document::from_json(json).unwrap()
    }

    fn route(id: &str, port: u16) -> String {
        format!(r#"{{"id":"{id}","cidr":"10.0.0.0/8","protocol":"tcp","ports":"{port}","action":"allow"}}"#)
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn routes_and_sections_are_compared() {
        let routes = |routes: &[String]| format!(r#""routes":[{}]"#, routes.join(","));
        let before = routes(&[route("a", 1), route("b", 2), route("c", 3)]);
        let after = routes(&[route("d", 4), route("c", 3), route("b", 22)]);
        let diff = between(
            &document(&format!(r#"{{"tunnel_mode":"full",{before},"kill_switch":true}}"#)),
            &document(&format!(r#"{{"tunnel_mode":"split",{after},"refresh_seconds":60}}"#)),
        );
        assert_eq!(diff.added, texts(&["refresh_seconds", "d"]));
        assert_eq!(diff.removed, texts(&["kill_switch", "a"]));
        assert_eq!(diff.changed, texts(&["tunnel_mode", "b"]));
    }

    #[test]
    fn an_empty_section_differs_from_an_absent_one() {
        let (none, empty) = (Document::default(), document(r#"{"routes":[],"gateway_pools":[]}"#));
        assert_eq!(between(&none, &empty).added, texts(&["routes", "gateway_pools"]));
        assert_eq!(between(&empty, &none).removed, texts(&["routes", "gateway_pools"]));
        assert_eq!(between(&empty, &empty), Diff::default());
    }
}
