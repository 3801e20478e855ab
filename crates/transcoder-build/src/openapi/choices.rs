//! The bodies of methods with actions: one schema for each action, of which a request is one.

use std::collections::BTreeSet;

use prost_reflect::MessageDescriptor;
use serde_json::{Map, Value, json};

use super::{
    examples::Examples,
    field::{Form, spelling},
    schema::{Schemas, describe, is_required, reference},
};
use crate::{
    model::Method,
    options::{Action, Actions},
};

impl Schemas<'_> {
    /// The schema of a request with actions that is the body, without the fields that the path binds.
    pub fn choice(&mut self, method: &Method, actions: &Actions, without: &[&str]) -> Value {
        let (surface, input) = (&method.surface, method.descriptor.input());
        let mut name = self.name_of_body(surface, &input, Form::Input);
        if !without.is_empty() {
            name.push_str(".Body");
        }
        let parts: Vec<_> = actions.list.iter().map(|action| (action, format!("{name}.{}", action.name))).collect();
        for (action, part) in &parts {
            let schema = self.part(method, actions, action, without);
            self.add(part.clone(), schema);
        }
        let references: Vec<_> = parts.iter().map(|(_, part)| reference(part)).collect();
        let mut schema = Map::from_iter([("oneOf".to_owned(), json!(references))]);
        describe(&mut schema, self.comment(&input));
        // A discriminator must be required.
        if let (true, Some(field)) = (actions.default.is_empty(), input.get_field_by_name(&actions.field)) {
            let target = |part: &String| json!(format!("#/components/schemas/{part}"));
            let mapping: Map<_, _> = parts.iter().map(|(action, part)| (action.name.clone(), target(part))).collect();
            let discriminator = json!({"propertyName": spelling(surface, &field), "mapping": mapping});
            schema.insert("discriminator".into(), discriminator);
        }
        self.add(name.clone(), Value::Object(schema));
        reference(&name)
    }

    /// The schema of the requests for one action.
    fn part(&mut self, method: &Method, actions: &Actions, action: &Action, without: &[&str]) -> Value {
        let (surface, input) = (&method.surface, method.descriptor.input());
        let (mut properties, mut required) = (Map::new(), BTreeSet::new());
        for field in input.fields().filter(|field| !without.contains(&field.name())) {
            let decides = field.name() == actions.field;
            if !decides && !actions.takes(action, field.name()) {
                continue;
            }
            let mut rule = self.rule(&field);
            rule.required |= match decides {
                true => actions.default != action.name,
                false => action.requires.iter().any(|name| name == field.name()),
            };
            let name = spelling(surface, &field);
            if is_required(surface, &field, &rule, Form::Input) {
                required.insert(name.clone());
            }
            let mut member = self.member(surface, &field, &rule, Form::Input);
            if decides {
                member = decided(member, actions, action);
            }
            properties.insert(name, member);
        }
        let mut schema = json!({"type": "object", "properties": properties});
        schema["description"] = json!(format!("What `{}` takes.", action.name));
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if !surface.ignore_unknown {
            schema["additionalProperties"] = json!(false);
        }
        schema
    }
}

/// The schema of the selecting member, for one action.
fn decided(member: Value, actions: &Actions, action: &Action) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), json!("string")), ("enum".to_owned(), json!([action.name]))]);
    if actions.default == action.name {
        schema["type"] = json!(["string", "null"]);
        schema["enum"] = json!([action.name, "", null]);
    }
    if let Some(description) = member.get("description") {
        schema.insert("description".into(), description.clone());
    }
    Value::Object(schema)
}

/// An example of a request: one for the first action.
pub fn example(examples: &Examples<'_>, input: &MessageDescriptor, actions: &Actions, bound: &[&str]) -> Value {
    let Some(first) = actions.list.first() else { return examples.message_without(input, bound) };
    let fields: Vec<_> = input.fields().collect();
    let absent = |name: &&str| bound.contains(name) || !(*name == actions.field || actions.takes(first, name));
    let without: Vec<_> = fields.iter().map(|field| field.name()).filter(absent).collect();
    let mut example = examples.message_without(input, &without);
    if let Some(field) = input.get_field_by_name(&actions.field) {
        example[spelling(examples.surface, &field)] = json!(first.name);
    }
    example
}
