//! `tenantry users`: the first administrator, and recovery of a lost password.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::{
    Common,
    start::{block_on, open_store},
};
use crate::{
    base::{Cx, Role, Secret},
    identity::{self, NewAccount, Password, Passwords},
    store::Store,
};

/// Commands on accounts of the platform.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make the account of a platform administrator
    Create {
        /// Name of the account
        #[arg(long, value_name = "NAME")]
        admin: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Set the password of a platform account; tokens that it was given before are revoked
    SetPassword {
        /// Name of the account
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
}

/// Where the password comes from.
#[derive(Debug, clap::Args)]
pub(super) struct PasswordArgs {
    /// File whose first line is the password [default: asked on the terminal]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(super) fn run(common: &Common, command: Command) -> anyhow::Result<()> {
    let (config, _) = common.load(&[])?;
    let (name, source) = match &command {
        Command::Create { admin, password } => (admin, password),
        Command::SetPassword { name, password } => (name, password),
    };
    identity::accounts::check_name(name)?;
    let password = Password::checked(read(source.password_file.as_deref())?, name)?;
    block_on(async {
        let store = open_store(&config).await?;
        let done = apply(&store, &command, password).await;
        store.close().await;
        done
    })
}

async fn apply(store: &Store, command: &Command, password: Password) -> anyhow::Result<()> {
    let passwords = Passwords::new(1);
    match command {
        Command::Create { admin, .. } => {
            let cx = Cx::system("users create", store.clock().clone());
            let account = NewAccount::login(None, admin, password, Role::PlatformAdmin);
            identity::create_account(store, &passwords, &cx, account).await?;
            println!("created the platform administrator {admin}");
        }
        Command::SetPassword { name, .. } => {
            let cx = Cx::system("users set-password", store.clock().clone());
            identity::set_password(store, &passwords, &cx, None, name, password).await?;
            println!("set the password of {name} and revoked its tokens");
        }
    }
    Ok(())
}

/// Reads a password from a file, or twice from the terminal without showing it.
fn read(file: Option<&Path>) -> anyhow::Result<Secret<String>> {
    if let Some(file) = file {
        let content = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        return Ok(Secret::new(content.lines().next().unwrap_or_default().to_owned()));
    }
    let ask = |prompt| rpassword::prompt_password(prompt).context("no terminal to ask on: use --password-file");
    let password = ask("Password: ")?;
    anyhow::ensure!(ask("Again: ")? == password, "the two passwords differ");
    Ok(Secret::new(password))
}
