//! Shared by everything: errors, ids, names, the caller and the context of a call, the clock, secrets and their files,
//! texts.

pub mod activator;
pub mod caller;
pub mod clock;
pub mod cx;
pub mod digest;
pub mod drain;
pub mod error;
pub mod expiring_cache;
pub mod ids;
pub mod keyed_call;
pub mod media;
pub mod names;
pub mod network;
pub mod opaque;
pub mod page;
pub mod panics;
pub mod pem;
pub mod private_file;
pub mod public_url;
pub mod scope;
pub mod seat;
pub mod secret;
pub mod setting_file;
pub mod subscriber;
pub mod text;
pub mod words;

pub use activator::Activator;
pub use caller::{Basis, Caller, CallerKind, Role, RoleSet};
pub use clock::Clock;
pub use cx::Cx;
pub use drain::Drain;
pub use error::{Error, Kind, Result};
pub use expiring_cache::ExpiringCache;
pub use ids::{IdKind, TenantId};
pub use keyed_call::{KeyedCall, SentKey};
pub use media::GrpcForm;
pub use names::{TenantName, TenantRef};
pub use page::{Page, PageRequest};
pub use scope::{Access, CallTenant, Reach, TenantScope};
pub use secret::Secret;
pub use subscriber::subscriber;
pub use words::Worded;
