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
    let email = Email::read(address).ok();
    let forms = email.iter().flat_map(|email| [email.as_str(), email.key()]).map(str::to_owned);
    forms.chain([address.to_owned()]).collect()
}
