//! The new password of an account.

use std::collections::BTreeSet;

use super::{account::Account, email::Email};
use crate::{
    base::{Result, Secret, text},
    identity::passwords::{MAX_BYTES, Password, policy},
};

/// The person whose password is set. It must not be one of the names, nor the address in any form.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    /// The names of the account.
    pub names: Vec<String>,
    /// The address as it is written.
    pub address: Option<String>,
}

impl From<&Account> for Owner {
    fn from(account: &Account) -> Self {
        Self { names: vec![account.username.clone(), account.display_name.clone()], address: account.email.clone() }
    }
}

/// Checks a password of an account against its policy: that of users, or the stricter one of platform accounts.
pub async fn checked(account: &Account, text: Secret<String>) -> Result<Password> {
    match account.tenant {
        Some(_) => checked_for_user(account.into(), text).await,
        None => checked_for_platform(account.into(), text).await,
    }
}

/// Checks a password of a user of a tenant.
pub async fn checked_for_user(owner: Owner, text: Secret<String>) -> Result<Password> {
    policy::checked(text.clone(), names(&owner, &text)?).await
}

/// Checks a password of a platform account.
pub async fn checked_for_platform(owner: Owner, text: Secret<String>) -> Result<Password> {
    policy::checked_for_platform(text.clone(), names(&owner, &text)?).await
}

/// The texts that the policy compares. Fails if the password is the address.
fn names(owner: &Owner, password: &Secret<String>) -> Result<Vec<String>> {
    let mut names = owner.names.clone();
    if let Some(address) = &owner.address {
        let mailboxes = mailboxes(address);
        if !mailboxes.is_disjoint(&mailboxes_of_password(password.expose())) {
            return Err(policy::named());
        }
        names.push(address.clone());
        names.extend(mailboxes);
        names.extend(in_unicode(address));
    }
    Ok(names)
}

/// An address with its domain in Unicode.
fn in_unicode(address: &str) -> Option<String> {
    let email = Email::read(address).ok()?;
    let (local, domain) = email.key().rsplit_once('@')?;
    Some(format!("{local}@{}", idna::domain_to_unicode(domain).0))
}

fn mailboxes_of_password(password: &str) -> BTreeSet<String> {
    // Overlong input is refused anyway.
    if password.len() > MAX_BYTES { BTreeSet::new() } else { mailboxes(password) }
}

/// The mailboxes that a text may mean as an address, in a form for comparison: as it is written, in the normal form of
/// passwords, and without invisible characters. It is read like the address of a login, so its spelling does not
/// matter: quotes, backslashes, and Unicode or punycode in each label.
fn mailboxes(text: &str) -> BTreeSet<String> {
    // The full stops of IDNA (RFC 3490, section 3.1) that the normal form keeps.
    let stopped = text.replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".");
    let normal = text::password(&stopped);
    let seen = text::fold(&normal);
    let keys = [stopped, normal, seen].into_iter().flat_map(|form| Email::keys(&form));
    keys.map(|key| text::fold(&text::password(&key))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(address: &str, password: &str) -> bool {
        let owner = Owner { names: Vec::new(), address: Some(address.to_owned()) };
        names(&owner, &Secret::new(password.to_owned())).is_err()
    }

    #[test]
    fn a_password_is_not_the_address_in_any_spelling() {
        let address = "maria.schr\u{f6}dinger@b\u{fc}cher.l\u{e4}den.example";
        for same in [
            address,
            "Maria.Schro\u{308}dinger@B\u{dc}CHER.l\u{e4}den.example",
            "maria.schr\u{f6}dinger@xn--bcher-kva.l\u{e4}den.example",
            "maria.schr\u{f6}dinger@b\u{fc}cher.xn--lden-loa.example",
            "maria.schr\u{f6}dinger@xn--bcher-kva.xn--lden-loa.example",
            "\"maria.schr\u{f6}dinger\"@b\u{fc}cher.l\u{e4}den.example",
            "\"m\\aria.schr\u{f6}dinger\"@b\u{fc}cher.xn--lden-loa.example",
            " maria.schr\u{f6}dinger@b\u{fc}cher.l\u{e4}den.example ",
            "maria.schr\u{f6}dinger@b\u{fc}cher\u{3002}l\u{e4}den\u{ff61}example",
            "maria.schr\u{f6}dinger@b\u{fc}cher\u{ff0e}xn--lden-loa.example",
            "maria.schr\u{f6}dinger@\u{ff42}\u{fc}cher.l\u{e4}den.example",
            "\u{ff4d}aria.schr\u{f6}dinger@b\u{fc}cher.l\u{e4}den.example",
            "maria.schr\u{f6}\u{ad}dinger@xn--bcher-kva.l\u{e4}den.example",
        ] {
            assert!(is_refused(address, same), "{same}");
        }
        for other in ["correct horse battery staple", "maria.schr\u{f6}dinger@example.com", "@", ""] {
            assert!(!is_refused(address, other), "{other}");
        }
    }

    #[test]
    fn an_address_with_quotes_or_compatibility_characters_is_not_its_own_password() {
        for (address, decomposed) in [
            ("\"maria.schroedinger\"@big.example", ""),
            ("\"maria schroedinger\"@big.example", ""),
            ("\"mar\\ia..schroedinger\"@big.example", ""),
            ("\u{ff4d}\u{e1}ria.schroedinger@big.example", "\u{ff4d}a\u{301}ria.schroedinger@big.example"),
            ("fu\u{fb02}\u{fb01}\u{e9}ld\u{b2}@big.example", "fu\u{fb02}\u{fb01}e\u{301}ld\u{b2}@big.example"),
            ("\u{1e9b}\u{323}.schroedinger@big.example", "\u{17f}\u{323}\u{307}.schroedinger@big.example"),
        ] {
            let decomposed = if decomposed.is_empty() { address } else { decomposed };
            for same in [address, decomposed, &text::password(address), &address.to_uppercase()] {
                assert!(is_refused(address, same), "{address} {same}");
            }
        }
    }
}
