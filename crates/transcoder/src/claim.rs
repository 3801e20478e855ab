//! What a decoded message says to the guard.

/// What the decoded message says that the guard needs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim<'a> {
    /// Value of the field that names the tenant, where the rule has one. `Some("")` if the caller left it empty.
    pub tenant: Option<&'a str>,
    /// Name of the action, where the method has several. `Some("")` if the request asks for none that is listed.
    pub action: Option<&'a str>,
    /// Value of the field that names the audit target, where the rule has one.
    pub target: Option<&'a str>,
}
