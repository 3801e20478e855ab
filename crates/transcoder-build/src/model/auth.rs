//! Checks the options of authorization and audit: everything that they name must exist.

use super::{Binding, Check, actions::fill};
use crate::{
    Error,
    options::{Actions, Audit, Auth, Tenant},
};

impl Check<'_> {
    pub(super) fn auth(&self) -> Result<Auth, Error> {
        if !self.options.has_rules() {
            return Ok(Auth { public: true, ..Auth::default() });
        }
        let Some(auth) = self.options.auth(self.method) else {
            return Err(self.fail("no authorization rule; add the option (auth)"));
        };
        if auth.public {
            let named = !auth.permission.is_empty() || !auth.all.is_empty() || !auth.custom.is_empty();
            let bare = !named && auth.tenant.is_none() && !auth.while_suspended;
            return if bare && !auth.callers.iter().any(String::is_empty) {
                Ok(auth)
            } else {
                Err(self.fail("a public method must not have another authorization rule"))
            };
        }
        let has_actions = self.options.actions(self.method).is_some();
        if auth.permission.is_empty() && !has_actions {
            return Err(
                self.fail("the option (auth) must have a permission or be public, unless the method has actions")
            );
        }
        for permission in [&auth.permission, &auth.all] {
            if !permission.is_empty() {
                self.permission(permission)?;
            }
        }
        if !auth.all.is_empty() && (has_actions || auth.all == auth.permission) {
            return Err(self.fail("`all` must differ from `permission`, and the method must not have actions"));
        }
        if auth.callers.iter().any(String::is_empty) {
            return Err(self.fail("callers must not have an unspecified value"));
        }
        match &auth.tenant {
            None => Err(self.fail("the option (auth) must say where the tenant of the call is found")),
            Some(Tenant::Field(field) | Tenant::FieldOrCaller(field)) => self.text_field(field).map(|_| auth),
            Some(Tenant::From(from)) if from.is_empty() => {
                Err(self.fail("the option (auth) must say where the tenant of the call is found"))
            }
            Some(Tenant::From(_)) => Ok(auth),
        }
    }

    /// A permission that rules may name.
    pub(super) fn permission(&self, permission: &String) -> Result<(), Error> {
        match self.permissions {
            Some(known) if !known.contains(permission) => Err(self.fail(format!("unknown permission {permission:?}"))),
            _ => Ok(()),
        }
    }

    /// The audit rule. Actions get the name of the rule if they have none of their own.
    pub(super) fn audit(&self, actions: Option<&mut Actions>, bindings: &[Binding]) -> Result<Option<Audit>, Error> {
        let named = |actions: &&mut Actions| actions.list.iter().any(|action| !action.audit.is_empty());
        let by_action = actions.as_ref().is_some_and(named);
        let Some(mut audit) = self.options.audit(self.method).or_else(|| by_action.then(Audit::default)) else {
            let writes = bindings.iter().any(|binding| binding.http.method != "GET");
            let needed = writes && self.options.has_rules();
            return if needed {
                Err(self.fail("a method that changes something must have an audit rule"))
            } else {
                Ok(None)
            };
        };
        if !audit.unaudited.is_empty() {
            let is_alone = audit.action.is_empty() && audit.target.is_empty() && audit.keyless.is_empty() && !by_action;
            return if is_alone { Ok(None) } else { Err(self.fail("unaudited excludes an audit action and a target")) };
        }
        if !audit.target.is_empty() {
            self.text_field(&audit.target)?;
        }
        match actions {
            Some(actions) => {
                let missing = fill(&mut actions.list, &audit.action, |action| &mut action.audit);
                missing.map_err(|why| self.fail(format!("actions: {why} audit name")))?;
                audit.action.clear();
            }
            None if audit.action.is_empty() => return Err(self.fail("the audit rule must name an action")),
            None => {}
        }
        Ok(Some(audit))
    }
}
