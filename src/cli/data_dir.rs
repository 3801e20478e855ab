//! The data directory: the embedded database, and the keys that `dev` creates.

use std::path::Path;

use anyhow::Context;

use super::dev_key_file;
use crate::base::setting_file;

/// Creates a directory that only its owner may enter, unless it exists. Calls `warn` if others may enter an existing
/// one.
pub(super) fn make(path: &Path, warn: impl FnOnce(&str)) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let shown = || setting_file::shown_directory(path);
    builder.create(path).with_context(|| format!("cannot create the data directory {}", shown()))?;
    #[cfg(unix)]
    if let Err(error) = close_to_others(path) {
        warn(&format!("the data directory {} is accessible to other users: {error}", shown()));
    }
    Ok(())
}

/// Removes the permissions of others from an existing directory. A directory with other content is left as it is:
/// `--data-dir /tmp` must not close `/tmp`.
#[cfg(unix)]
fn close_to_others(path: &Path) -> std::io::Result<()> {
    use std::{fs, io, os::unix::fs::PermissionsExt};

    const OTHERS: u32 = 0o077;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let ours = dev_key_file(path).exists() || fs::read_dir(path)?.next().is_none();
    if !ours || mode & 0o1000 != 0 {
        return Err(io::Error::other("it was not created by tenantry, so its mode is not changed"));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700))
}

#[cfg(all(test, unix))]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn mode_after(file: Option<&str>) -> u32 {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        if let Some(file) = file {
            fs::write(dir.path().join(file), "x").unwrap();
        }
        make(dir.path(), |_| ()).unwrap();
        fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_data_directory_is_closed_to_others_and_another_is_not() {
        assert_eq!(mode_after(None), 0o700);
        assert_eq!(mode_after(Some("jwt.pem")), 0o700);
        assert_eq!(mode_after(Some("thesis.tex")), 0o755);
    }
}
