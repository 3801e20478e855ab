//! The rules of authorization and audit: what they name is there.

use prost_reflect::Kind;

use super::{Binding, Check};
use crate::{
    Error,
    options::{Audit, Auth, By, Tenant},
};

impl Check<'_> {
    pub(super) fn auth(&self) -> Result<Auth, Error> {
        if !self.options.has_rules() {
            return Ok(Auth { public: true, ..Auth::default() });
        }
        let Some(auth) = self.options.auth(self.method) else {
            return Err(self.fail("no authorization rule; give it the option (auth)"));
        };
        let named = usize::from(!auth.permission.is_empty()) + usize::from(auth.permission_by.is_some());
        if auth.public {
            let bare = named == 0 && auth.tenant.is_none() && auth.custom.is_empty() && auth.callers.is_empty();
            return if bare && !auth.while_suspended {
                Ok(auth)
            } else {
                Err(self.fail("a public method has no other authorization rule"))
            };
        }
        if named != 1 {
            return Err(self.fail("name one permission, or the field that decides it, or say public"));
        }
        let by_field = auth.permission_by.iter().flat_map(|by| by.map.iter().map(|(_, permission)| permission));
        for permission in std::iter::once(&auth.permission).filter(|name| !name.is_empty()).chain(by_field) {
            if self.permissions.is_some_and(|known| !known.contains(permission)) {
                return Err(self.fail(format!("unknown permission {permission:?}")));
            }
        }
        if auth.callers.iter().any(String::is_empty) {
            return Err(self.fail("a kind of caller is unspecified"));
        }
        if let Some(by) = &auth.permission_by {
            self.by(by, "permission_by")?;
        }
        match &auth.tenant {
            None => Err(self.fail("say where the tenant of the call is found")),
            Some(Tenant::Field(field)) => self.text_field(field).map(|_| auth),
            Some(Tenant::From(from)) if from.is_empty() => Err(self.fail("say where the tenant of the call is found")),
            Some(Tenant::From(_)) => Ok(auth),
        }
    }

    /// A field that decides: its values have names, and are those that the field can have.
    fn by(&self, by: &By, option: &str) -> Result<(), Error> {
        let field = self.text_field(&by.field)?;
        if by.map.is_empty() {
            return Err(self.fail(format!("{option} has no values")));
        }
        if let Kind::Enum(item) = field.kind() {
            let known = |name: &str| item.values().any(|value| value.name() == name);
            if let Some((value, _)) = by.map.iter().find(|(value, _)| !known(value)) {
                return Err(self.fail(format!("{option}: {} has no value {value}", item.full_name())));
            }
        }
        Ok(())
    }

    pub(super) fn audit(&self, auth: &Auth, bindings: &[Binding]) -> Result<Option<Audit>, Error> {
        let Some(audit) = self.options.audit(self.method) else {
            let writes = bindings.iter().any(|binding| binding.http.method != "GET");
            let needed = writes && self.options.has_rules();
            return if needed { Err(self.fail("only reads go without an audit rule")) } else { Ok(None) };
        };
        if !audit.target.is_empty() {
            self.text_field(&audit.target)?;
        }
        match &audit.action_by {
            Some(by) => self.action_by(by, &audit.action, auth)?,
            None if audit.action.is_empty() => return Err(self.fail("the audit rule names no action")),
            None => {}
        }
        Ok(Some(audit))
    }

    /// The actions by the values of a field. `rest` is the one of values that are not listed; the field may have none
    /// such where it decides the permission too.
    fn action_by(&self, by: &By, rest: &str, auth: &Auth) -> Result<(), Error> {
        self.by(by, "action_by")?;
        if let Some((value, _)) = by.map.iter().find(|(_, action)| action.is_empty()) {
            return Err(self.fail(format!("action_by names no action for {value}")));
        }
        let values = |by: &By| by.map.iter().map(|(value, _)| value.clone()).collect::<Vec<_>>();
        match &auth.permission_by {
            Some(permission_by) if permission_by.field == by.field => {
                if values(permission_by) == values(by) {
                    Ok(())
                } else {
                    Err(self.fail(format!("permission_by and action_by list different values of {}", by.field)))
                }
            }
            // No other rule keeps unlisted values away.
            _ if rest.is_empty() => {
                Err(self.fail("the audit rule names no action for values that action_by does not list"))
            }
            _ => Ok(()),
        }
    }
}
