//! Which images are allowed, by their registries.

use std::str::FromStr;

use super::{
    policy,
    registries::{Registry, registry},
};
use crate::{
    base::{Error, Result, error::Reason},
    store::Db,
};

/// The settings of images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageSettings {
    /// The registries from which images may come: `KUBEOP_IMAGE_ALLOWLIST`. If it is empty, the policy of the platform decides.
    pub allowlist: Vec<Registry>,
    /// What applies without a list anywhere.
    pub default: ImageDefault,
}

/// Which images are allowed if there is no list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImageDefault {
    /// All of them.
    #[default]
    Open,
    /// None.
    Closed,
}

impl FromStr for ImageDefault {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "open" => Ok(Self::Open),
            "closed" => Ok(Self::Closed),
            _ => Err(()),
        }
    }
}

/// Fails if no list allows the registry of an image.
pub async fn check(conn: &impl Db, settings: &ImageSettings, image: &str) -> Result<()> {
    let registry = registry(image)?;
    let is_allowed = match settings.allowlist.as_slice() {
        [] => match policy::allowlist(conn).await?.as_slice() {
            [] => settings.default == ImageDefault::Open,
            listed => listed.iter().any(|allowed| allowed == registry.as_str()),
        },
        listed => listed.contains(&registry),
    };
    if is_allowed { Ok(()) } else { Err(not_allowed(&registry)) }
}

fn not_allowed(registry: &Registry) -> Error {
    let text = format!("the image registry {} is not allowed", registry.as_str());
    Error::invalid(Reason::ImageRegistryNotAllowed, "image", text)
}
