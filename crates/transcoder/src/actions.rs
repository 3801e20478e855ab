//! Requests with a field that selects one of several actions (the option `actions`).

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::required;

/// The actions of a method.
#[derive(Clone, Copy, Debug)]
pub struct Actions {
    /// Name of the request's field that selects the action.
    pub field: &'static str,
    /// The actions, sorted by name.
    pub listed: &'static [Action],
}

/// One action.
#[derive(Debug)]
pub struct Action {
    /// The value of the selecting field.
    pub name: &'static str,
    /// The permission that the caller needs.
    pub permission: &'static str,
    /// Its name in the audit log; empty if it is not audited.
    pub audit: &'static str,
}

impl Actions {
    /// The action with a name.
    pub fn named(&self, name: &str) -> Option<&'static Action> {
        self.listed.iter().find(|action| action.name == name)
    }

    /// The error text for an action that is not listed.
    pub fn must_be(&self) -> String {
        let names: Vec<_> = self.listed.iter().map(|action| action.name).collect();
        format!("must be one of {}", names.join(", "))
    }

    /// The error for an action that is not listed. The guard may refuse it earlier.
    #[doc(hidden)]
    pub fn unknown(&self, domain: &str) -> Status {
        let text = self.must_be();
        let mut details = ErrorDetails::with_error_info("ACTION_UNKNOWN", domain, [] as [(String, String); 0]);
        details.add_bad_request_violation(self.field, &text);
        Status::with_error_details(Code::InvalidArgument, text, details)
    }
}

/// Checks the fields of a request against its action. `given` lists all fields and whether the request has them. Refuses fields that
/// are neither in `takes` nor in `requires`, because they would have no effect; then the first field of `requires` that is missing.
#[doc(hidden)]
pub fn check(
    action: &str,
    given: &[(&'static str, bool)],
    takes: &[&str],
    requires: &[&str],
    domain: &str,
) -> Result<(), Status> {
    let stray = |(field, given): &&(&str, bool)| *given && !takes.contains(field) && !requires.contains(field);
    let stray: Vec<_> = given.iter().filter(stray).map(|(field, _)| *field).collect();
    if !stray.is_empty() {
        let mut details = ErrorDetails::with_error_info("INVALID_ARGUMENT", domain, [] as [(String, String); 0]);
        for field in &stray {
            details.add_bad_request_violation(*field, format!("{action} does not take it"));
        }
        let text = format!("{action} does not take {}", stray.join(", "));
        return Err(Status::with_error_details(Code::InvalidArgument, text, details));
    }
    let is_missing = |field: &&&str| !given.iter().any(|(name, given)| *given && name == *field);
    match requires.iter().find(is_missing) {
        Some(missing) => Err(required::refusal(&[(*missing).to_owned()], domain)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIONS: Actions = Actions {
        field: "act",
        listed: &[
            Action { name: "burn", permission: "thing.write", audit: "thing.burn" },
            Action { name: "look", permission: "thing.read", audit: "" },
        ],
    };

    fn refusal(status: &Status) -> (Code, &str, String, Vec<(String, String)>) {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| format!("{}@{}", info.reason, info.domain)).unwrap_or_default();
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let violations = violations.into_iter().map(|violation| (violation.field, violation.description));
        (status.code(), status.message(), reason, violations.collect())
    }

    fn violation(field: &str, description: &str) -> (String, String) {
        (field.to_owned(), description.to_owned())
    }

    #[test]
    fn an_action_is_found_by_its_whole_name() {
        assert_eq!(ACTIONS.named("burn").map(|action| action.permission), Some("thing.write"));
        for name in ["", "Burn", "bur", "look "] {
            assert!(ACTIONS.named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_error_for_an_unknown_action_lists_the_known_ones() {
        let text = "must be one of burn, look";
        let want = (Code::InvalidArgument, text, "ACTION_UNKNOWN@shop".to_owned(), vec![violation("act", text)]);
        assert_eq!(refusal(&ACTIONS.unknown("shop")), want);
    }

    #[test]
    fn stray_fields_are_refused_before_missing_ones() {
        let given = [("color", true), ("coats", true), ("owner", false), ("size", false)];
        let status = check("look", &given, &["size"], &["owner"], "shop").unwrap_err();
        let violations = vec![violation("color", "look does not take it"), violation("coats", "look does not take it")];
        let text = "look does not take color, coats";
        assert_eq!(refusal(&status), (Code::InvalidArgument, text, "INVALID_ARGUMENT@shop".to_owned(), violations));
    }

    #[test]
    fn the_first_missing_field_is_named() {
        let given = [("color", false), ("coats", true), ("owner", false), ("size", false)];
        let status = check("paint", &given, &["coats", "size"], &["owner", "color"], "shop").unwrap_err();
        let violations = vec![violation("owner", "required")];
        let text = "missing: owner";
        assert_eq!(refusal(&status), (Code::InvalidArgument, text, "FIELD_REQUIRED@shop".to_owned(), violations));
    }

    #[test]
    fn taken_fields_are_optional_and_required_fields_are_accepted() {
        assert!(check("paint", &[("color", true), ("coats", false)], &["coats"], &["color"], "shop").is_ok());
        assert!(check("look", &[], &[], &[], "shop").is_ok());
    }
}
