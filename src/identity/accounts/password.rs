//! The new password of an account.

use super::{account::Account, email::Email};
use crate::{
    base::{Result, Secret},
    identity::passwords::{Password, policy},
};

/// Checks a password of an account against its policy: that of users, or the stricter one of platform accounts.
pub async fn checked(account: &Account, text: Secret<String>) -> Result<Password> {
    let mut names = vec![account.username.clone(), account.display_name.clone()];
    names.extend(account.email.as_deref().into_iter().flat_map(forms_of_address));
    match account.tenant {
        Some(_) => policy::checked(text, names).await,
        None => policy::checked_for_platform(text, names).await,
    }
}

/// The forms of an address that must not be a password: as it is written, as it is stored, and as it is compared.
pub fn forms_of_address(address: &str) -> Vec<String> {
    let mut forms = vec![address.to_owned()];
    if let Ok(email) = Email::read(address) {
        forms.extend([email.as_str().to_owned(), email.key().to_owned()]);
        // With its domain in Unicode, however it is written.
        let local = email.key().rsplit_once('@').map_or("", |(local, _)| local);
        forms.push(format!("{local}@{}", idna::domain_to_unicode(email.domain()).0));
    }
    forms
}
