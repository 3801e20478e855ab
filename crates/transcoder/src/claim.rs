//! The values of a decoded message that the guard checks.

/// The values of a decoded message that the guard checks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim<'a> {
    /// Value of the field that names the tenant, if the rule has one. `Some("")` if the field is empty.
    pub tenant: Option<&'a str>,
    /// Name of the action, if the method has actions. `Some("")` if the requested one is not listed.
    pub action: Option<&'a str>,
    /// Value of the field that names the audit target, if the rule has one.
    pub target: Option<&'a str>,
}
