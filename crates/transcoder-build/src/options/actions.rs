//! The option `(actions)`.

use prost_reflect::DynamicMessage;

use super::read::{messages, text, texts};

/// `(actions)`.
#[derive(Clone, Debug, Default)]
pub struct Actions {
    /// Name of the request's field that selects the action.
    pub field: String,
    /// The action of requests that leave the field out; empty if there is none.
    pub default: String,
    /// The fields that every action takes.
    pub takes: Vec<String>,
    /// The actions, in the order of the proto.
    pub list: Vec<Action>,
}

/// One action.
#[derive(Clone, Debug, Default)]
pub struct Action {
    /// The value of the selecting field.
    pub name: String,
    /// The permission; once checked, never empty.
    pub permission: String,
    /// Its name in the audit log; once checked, empty only on reads.
    pub audit: String,
    /// The optional fields, without those that every action takes.
    pub takes: Vec<String>,
    /// The required fields.
    pub requires: Vec<String>,
}

impl Actions {
    /// Reads the option.
    pub(super) fn of(rule: &DynamicMessage) -> Self {
        let action = |action: DynamicMessage| Action {
            name: text(&action, "name"),
            permission: text(&action, "permission"),
            audit: text(&action, "audit"),
            takes: texts(&action, "takes"),
            requires: texts(&action, "requires"),
        };
        Self {
            field: text(rule, "field"),
            default: text(rule, "default"),
            takes: texts(rule, "takes"),
            list: messages(rule, "action").map(action).collect(),
        }
    }

    /// Whether an action takes a field of the request, or requires it.
    pub fn takes(&self, action: &Action, field: &str) -> bool {
        let named = |fields: &[String]| fields.iter().any(|name| name == field);
        named(&self.takes) || named(&action.takes) || named(&action.requires)
    }
}
