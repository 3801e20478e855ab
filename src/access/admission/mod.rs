//! Admission of devices at gateways (zero-trust contract, section 6.3): a gateway asks for each session, and gets a signed grant or the
//! reason for the denial.

mod addresses;
mod facts;
mod grant;
mod policies;
mod read;
mod rules;
mod write;

use std::net::IpAddr;

use time::OffsetDateTime;
use uuid::Uuid;

use self::{grant::Keys, policies::Policies, rules::Terms, write::Written};
use crate::{
    base::{Basis, Cx, Error, Kind, Result, TenantScope, error::Reason},
    policy::document::words::AuthMode,
    store::Store,
    tenants,
    trust::Trust,
};

pub use grant::LIFE as GRANT_LIFE;
pub use rules::{Denial, LONGEST};
pub use write::SILENT;

/// How often a decision is made again because something changed meanwhile.
const ATTEMPTS: usize = 5;
/// After how many seconds a gateway may ask again about a device that was denied.
const DENIED_FOR: u32 = 60;

/// A question of a gateway.
#[derive(Clone, Debug)]
pub struct Question {
    /// The public id of the device.
    pub device: String,
    /// The thumbprint of the key that the device has proven.
    pub client_key: String,
    /// The session: one that the gateway asked about before, or a new one.
    pub session: Option<Uuid>,
    /// The public id of the pool that the device wants.
    pub pool: Option<String>,
    pub client_ip: Option<IpAddr>,
    /// How the device authenticated.
    pub auth_mode: AuthMode,
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Allow(Granted),
    Deny {
        reason: Denial,
        /// The session, if the question has one.
        session: Option<Uuid>,
        recheck_seconds: u32,
    },
}

/// A session that may start or continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    pub session: Uuid,
    /// A compact JWS.
    pub grant: String,
    /// The session must start before this time.
    pub expires_at: OffsetDateTime,
    pub recheck_seconds: u32,
}

/// Decides about admissions. Cheap to clone; clones share what they have read of keys and policies.
#[derive(Clone, Debug)]
pub struct Admissions {
    store: Store,
    keys: Keys,
    policies: Policies,
}

/// The gateway that asks.
#[derive(Clone, Copy, Debug)]
struct Asking {
    scope: TenantScope,
    gateway: Uuid,
}

impl Admissions {
    pub fn new(store: &Store, trust: &Trust) -> Self {
        Self { store: store.clone(), keys: Keys::new(trust.clone()), policies: Policies::default() }
    }

    /// Answers the question of the gateway that calls. Fails with INVALID_ARGUMENT for a session of another device or gateway.
    pub async fn decide(&self, cx: &Cx, question: &Question) -> Result<Answer> {
        let Basis::Gateway { id: gateway, .. } = cx.caller.basis else {
            return Err(Error::denied(Reason::CallerKindRefused, "only gateways can ask for admission"));
        };
        let asking = Asking { scope: tenants::reach(cx, &self.store, cx.tenant()?).await?, gateway };
        for attempt in 0..ATTEMPTS {
            if let Some(answer) = self.attempt(cx, asking, question, attempt > 0).await? {
                return Ok(answer);
            }
        }
        let message = "the device keeps changing; ask again";
        Err(Error::new(Kind::Aborted, Reason::VersionStale, message))
    }

    /// Decides once; `None` if something changed meanwhile.
    async fn attempt(&self, cx: &Cx, asking: Asking, question: &Question, again: bool) -> Result<Option<Answer>> {
        let now = cx.clock.now();
        let denied = |reason| Answer::Deny { reason, session: question.session, recheck_seconds: DENIED_FOR };
        let facts = match self.facts(asking, question, now).await? {
            Ok(facts) => facts,
            Err(reason) => return Ok(Some(denied(reason))),
        };
        let terms = match rules::check(&facts, question, now) {
            Ok(terms) => terms,
            Err(reason) => return Ok(Some(denied(reason))),
        };
        let key = self.keys.of(asking.scope).await?;
        let session = facts.session_or_new(asking, question, &terms, now, || cx.clock.new_id());
        match self.write(asking, &facts, session.clone(), key.id(), again).await? {
            Written::Changed => {
                self.keys.forget(asking.scope);
                Ok(None)
            }
            Written::Full(reason) => Ok(Some(denied(reason))),
            Written::Done(address) => {
                let Terms { max_end, recheck_seconds, .. } = terms;
                let claims = grant::Claims::new(&facts, question, &session, address, max_end, now);
                let (grant, expires_at) = (claims.sign(&key)?, claims.expires_at());
                Ok(Some(Answer::Allow(Granted { session: session.id, grant, expires_at, recheck_seconds })))
            }
        }
    }
}
