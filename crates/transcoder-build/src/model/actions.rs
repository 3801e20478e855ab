//! Checks the option `actions`: each action must be complete, and everything that it names must exist.

use std::collections::BTreeSet;

use prost_reflect::Kind;

use super::{Binding, Check, Method};
use crate::{
    Error,
    names::camel,
    options::{Action, Actions, Auth, Rest},
};

impl Check<'_> {
    /// The actions with their permissions: their own, or the permission of the authorization rule.
    pub(super) fn actions(&self, auth: &Auth) -> Result<Option<Actions>, Error> {
        let Some(mut actions) = self.options.actions(self.method) else { return Ok(None) };
        self.names(&actions)?;
        self.action_fields(&actions)?;
        if auth.public {
            return Err(self.fail("actions have permissions, so the method must not be public"));
        }
        let missing = fill(&mut actions.list, &auth.permission, |action| &mut action.permission);
        missing.map_err(|why| self.fail(format!("actions: {why} permission")))?;
        for action in &actions.list {
            self.permission(&action.permission)?;
        }
        Ok(Some(actions))
    }

    /// Each action has a unique name, which is a value of the selecting field.
    fn names(&self, actions: &Actions) -> Result<(), Error> {
        let selecting = self.text_field(&actions.field)?;
        if actions.field.contains('.') {
            return Err(self.fail("actions: the selecting field must be a field of the request itself"));
        }
        if actions.list.is_empty() {
            return Err(self.fail("actions: no action is listed"));
        }
        let mut seen = BTreeSet::new();
        for Action { name, .. } in &actions.list {
            if name.is_empty() {
                return Err(self.fail("actions: an action has no name"));
            }
            if !seen.insert(camel(name)) {
                return Err(self.fail(format!("actions: {name} is listed twice, or differs only in spelling")));
            }
        }
        let listed = |name: &str| actions.list.iter().any(|action| action.name == name);
        if !actions.default.is_empty() && !listed(&actions.default) {
            return Err(self.fail(format!("actions: the default {} is not listed", actions.default)));
        }
        if let Kind::Enum(item) = selecting.kind() {
            let values: Vec<_> = item.values().filter(|value| value.number() != 0).collect();
            if let Some(value) = values.iter().find(|value| !listed(value.name())) {
                return Err(self.fail(format!("actions: {} of {} is not listed", value.name(), item.full_name())));
            }
            let known = |name: &str| values.iter().any(|value| value.name() == name);
            if let Some(action) = actions.list.iter().find(|action| !known(&action.name)) {
                let (name, item) = (&action.name, item.full_name());
                return Err(self.fail(format!("actions: {name} must be a value of {item} with a number other than 0")));
            }
        }
        Ok(())
    }

    /// The fields that actions take must exist in the request, and each field of the request must be taken by an action.
    fn action_fields(&self, actions: &Actions) -> Result<(), Error> {
        let input = self.method.input();
        for action in &actions.list {
            let mut seen = BTreeSet::from([actions.field.as_str()]);
            for name in actions.takes.iter().chain(&action.takes).chain(&action.requires) {
                if input.get_field_by_name(name).is_none() {
                    return Err(self.fail(format!("{} has no field {name}", input.full_name())));
                }
                if !seen.insert(name) {
                    return Err(self.fail(format!("actions: {} names {name} twice", action.name)));
                }
            }
            let required = action.requires.iter().filter_map(|name| input.get_field_by_name(name));
            for field in required {
                if !field.supports_presence() && !field.is_list() && !field.is_map() {
                    let why = "which has no presence; make it optional";
                    return Err(self.fail(format!("actions: {} requires {}, {why}", action.name, field.name())));
                }
            }
        }
        let taken = |name: &str| name == actions.field || actions.list.iter().any(|one| actions.takes(one, name));
        match input.fields().find(|field| !taken(field.name())) {
            Some(field) => Err(self.fail(format!("actions: no action takes {}", field.name()))),
            None => Ok(()),
        }
    }

    /// Requests must be in the body, except for fields of the path that every action takes.
    pub(super) fn action_paths(&self, actions: &Actions, bindings: &[Binding], rest: &Rest) -> Result<(), Error> {
        if rest.body_or_query {
            return Err(self.fail("actions cannot be combined with body_or_query"));
        }
        for binding in bindings {
            if binding.http.body != "*" {
                return Err(self.fail(format!("actions: {} must have the body \"*\"", binding.http.path)));
            }
            for variable in &binding.template.variables {
                if !actions.takes.contains(&variable.field) {
                    let why = format!("the path binds {}, so every action must take it", variable.field);
                    return Err(self.fail(format!("actions: {why}")));
                }
            }
        }
        Ok(())
    }
}

impl Method {
    /// The permission of the method, if all its actions have the same one.
    pub fn single_permission(&self) -> Option<&str> {
        match &self.actions {
            None => Some(self.auth.permission.as_str()).filter(|permission| !permission.is_empty()),
            Some(actions) => {
                let first = actions.list.first()?.permission.as_str();
                actions.list.iter().all(|action| action.permission == first).then_some(first)
            }
        }
    }
}

/// Sets a value of the actions that have none to the value of the method's rule. Fails if an action has none then, or if no action
/// needs the value of the rule.
pub(super) fn fill(
    actions: &mut [Action],
    of_rule: &str,
    place: impl Fn(&mut Action) -> &mut String,
) -> Result<(), String> {
    let mut used = of_rule.is_empty();
    for action in actions {
        if !place(action).is_empty() {
            continue;
        }
        if of_rule.is_empty() {
            return Err(format!("{} has no", action.name));
        }
        used = true;
        place(action).push_str(of_rule);
    }
    if used { Ok(()) } else { Err(format!("{of_rule} of the rule is unused, because every action has its own")) }
}
