//! `tenantry users`: the first administrator, and recovery of a lost password.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{
    Common, output,
    start::{block_on, open_migrated},
};
use crate::{
    base::{Cx, IdKind, Role, Secret, setting_file},
    identity::{
        self, Account, Email, NewAccount, Password, Passwords,
        accounts::{
            self, identities,
            password::{self, Owner},
        },
    },
    store::Store,
};

/// Commands on accounts of the platform.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create the account of a platform administrator, or one that gets access to tenants through grants
    Create(CreateArgs),
    /// Set the password of a platform account; tokens issued to it before are revoked
    ///
    /// A user of the control plane has no account before the first password: the command creates it, without rights of its own. The
    /// grants of the user give access to tenants.
    SetPassword {
        /// Name, email address or id of the account, or the email address of a user
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// The new account.
#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Name of the account of a platform administrator
    #[arg(long, value_name = "NAME", required_unless_present = "name", conflicts_with = "name")]
    admin: Option<String>,
    /// Name of an account without rights of its own; the grants of its email address give access to tenants
    #[arg(long, value_name = "NAME", requires = "email")]
    name: Option<String>,
    /// Email address of the account
    #[arg(long, value_name = "EMAIL")]
    email: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
}

/// The source of the password.
#[derive(Debug, clap::Args)]
pub(super) struct PasswordArgs {
    /// File whose first line is the password, at least 12 characters that are not easy to guess [default: asked on the
    /// terminal]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(super) fn run(common: &Common, command: Command) -> anyhow::Result<()> {
    let config = common.load(&[])?;
    let source = match &command {
        Command::Create(account) => {
            accounts::check_name(account.username())?;
            &account.password
        }
        Command::SetPassword { password, .. } => password,
    };
    block_on(async {
        // Before prompting for a password.
        let store = open_migrated(&config).await?;
        let done = apply(&store, &command, source).await;
        store.close().await;
        done
    })
}

impl CreateArgs {
    /// The name of the account; clap ensures that there is one.
    fn username(&self) -> &str {
        self.admin.as_ref().or(self.name.as_ref()).map(String::as_str).unwrap_or_default()
    }

    fn email(&self) -> anyhow::Result<Option<Email>> {
        Ok(self.email.as_deref().map(Email::read).transpose()?)
    }

    fn new_account(&self, password: Password) -> anyhow::Result<NewAccount> {
        let role = if self.admin.is_some() { Role::PlatformAdmin } else { Role::User };
        Ok(NewAccount { email: self.email()?, ..NewAccount::login(None, self.username(), password, role) })
    }
}

async fn apply(store: &Store, command: &Command, source: &PasswordArgs) -> anyhow::Result<()> {
    let passwords = Passwords::new(1);
    match command {
        Command::Create(account) => {
            let owner = Owner { names: vec![account.username().to_owned()], address: account.email.clone() };
            let text = read(source.password_file.as_deref())?;
            let password = password::checked_for_platform(owner, text).await?;
            let cx = Cx::system("users create", store.clock().clone());
            identity::create_account(store, &passwords, &cx, account.new_account(password)?).await?;
            let what = if account.admin.is_some() { "platform administrator" } else { "account" };
            output::tell(format_args!("created the {what} {}", account.username()));
        }
        Command::SetPassword { name, .. } => {
            let Some(account) = accounts::find(store.read(), None, name).await?.map(Account::from) else {
                let email = user(store, name).await?.ok_or_else(accounts::not_found)?;
                return create_for(store, &passwords, email, source).await;
            };
            let text = read(source.password_file.as_deref())?;
            let password = password::checked(&account, text).await?;
            let cx = Cx::system("users set-password", store.clock().clone());
            // By its id: the name may belong to another account by now, for which the password was not checked.
            identity::set_password(store, &passwords, &cx, None, &IdKind::User.show(account.id), password).await?;
            output::tell(format_args!("set the password of {} and revoked its tokens", account.username));
        }
    }
    Ok(())
}

/// The address of the user of the control plane with this address, if there is one.
async fn user(store: &Store, address: &str) -> anyhow::Result<Option<Email>> {
    let Ok(email) = Email::read(address) else { return Ok(None) };
    Ok(identities::by_email(store.read(), &email).await?.map(|_| email))
}

/// Creates the account of a user of the control plane, named after the address.
async fn create_for(store: &Store, passwords: &Passwords, email: Email, source: &PasswordArgs) -> anyhow::Result<()> {
    let name = email.key().to_owned();
    // An address may have characters that names cannot have; then the account has no name but its id.
    let username = if accounts::check_name(&name).is_ok() { name.clone() } else { String::new() };
    let owner = Owner { names: vec![username.clone()], address: Some(email.as_str().to_owned()) };
    let password = password::checked_for_platform(owner, read(source.password_file.as_deref())?).await?;
    let cx = Cx::system("users set-password", store.clock().clone());
    let new = NewAccount { email: Some(email), ..NewAccount::login(None, &username, password, Role::User) };
    identity::create_account(store, passwords, &cx, new).await?;
    output::tell(format_args!("created the account of {name} and set its password"));
    Ok(())
}

/// Reads a password from a file, or twice from the terminal without echo.
fn read(file: Option<&Path>) -> anyhow::Result<Secret<String>> {
    if let Some(file) = file {
        let shown = || setting_file::shown(file);
        let content =
            std::fs::read_to_string(file).with_context(|| format!("cannot read the password file {}", shown()))?;
        // Some editors start a file with a byte order mark, which nobody can type.
        let content = content.trim_start_matches('\u{feff}');
        let line = content.split(['\n', '\r']).next().unwrap_or_default();
        let typed = "the password contains a control character: write it as one line of text";
        anyhow::ensure!(!line.contains(char::is_control), "{}: {typed}", shown());
        return Ok(Secret::new(line.to_owned()));
    }
    let ask = |prompt| rpassword::prompt_password(prompt).context("no terminal to prompt on: use --password-file");
    let password = ask("Password: ")?;
    anyhow::ensure!(ask("Again: ")? == password, "the passwords do not match");
    Ok(Secret::new(password))
}
