//! Trust anchors: which keys are trusted, and for what.

use alloc::{string::String, vec::Vec};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signature as Ed25519, VerifyingKey};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::{Envelope, Refusal, envelope::hex, instant, strict};

/// The media type of the payload.
pub(crate) const TYPE: &str = "application/vnd.tenantry.trust-anchors+json";
const SCHEMA: &str = "tenantry.trust-anchors.v1";
/// Maximum size of an envelope with a set.
pub(crate) const LIMIT: usize = 1 << 20;
/// The DER of an Ed25519 public key before its 32 bytes (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What a key may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeyUse {
    /// Anchor sets, and nothing else.
    Root,
    /// Policies, gateway views, deployment configurations, manifests and pool directories.
    PolicySigning,
    /// Security policy certificates and their bundle.
    SpcSigning,
    /// Admission grants.
    AdmissionSigning,
    /// Updates.
    UpdateSigning,
    /// Certificates of devices.
    DeviceCa,
    /// Certificates of gateways.
    GatewayCa,
    /// The certificates of the control plane.
    ServerCa,
    /// A use that this version does not know.
    #[serde(other)]
    Other,
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Announced; usable as soon as it is valid.
    Upcoming,
    /// In use.
    Active,
    /// Still trusted, and signs nothing new.
    Retiring,
    /// Not trusted, whatever its times; and every state that this version does not know.
    #[serde(other)]
    Revoked,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its id ([`key_id`]).
    pub id: String,
    /// What it may sign.
    pub key_use: KeyUse,
    /// Its public key: the DER of the SubjectPublicKeyInfo.
    pub public_key: Vec<u8>,
    /// The certificate of an authority: DER.
    pub certificate: Option<Vec<u8>>,
    /// Valid from this time, in seconds since 1970.
    pub not_before: i64,
    /// Valid until this time.
    pub not_after: i64,
    /// Its state.
    pub state: KeyState,
}

/// The trusted keys, at one step of the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorSet {
    /// The trust domain of the names in certificates.
    pub trust_domain: String,
    /// The number of this set; each set has the next one.
    pub sequence: u64,
    /// The time of its signature, in seconds since 1970.
    pub issued_at: i64,
    /// Nothing is accepted with this set from this time on.
    pub expires_at: i64,
    /// How often to ask for the next set, in seconds.
    pub refresh_hint_seconds: u32,
    /// The keys.
    pub anchors: Vec<Anchor>,
}

#[derive(Deserialize)]
struct WireSet {
    schema: String,
    trust_domain: String,
    sequence: u64,
    issued_at: String,
    expires_at: String,
    refresh_hint_seconds: u32,
    anchors: Vec<WireAnchor>,
}

#[derive(Deserialize)]
struct WireAnchor {
    id: String,
    #[serde(rename = "use")]
    key_use: KeyUse,
    public_key: String,
    x5c: Option<String>,
    not_before: String,
    not_after: String,
    state: KeyState,
}

impl AnchorSet {
    /// The set that a consumer begins with. It is signed by a root key of its own; that it is genuine follows from how it was received, such
    /// as in the response to an enrollment.
    pub fn first(envelope: &[u8]) -> Result<Self, Refusal> {
        let (envelope, set) = Self::read(envelope)?;
        set.check_roots(&envelope, set.issued_at)?;
        Ok(set)
    }

    /// The set after this one: it has the next sequence, and is signed by a root key of this set and one of its own. It may have expired,
    /// because a consumer that was away walks through every set; nothing is accepted with an expired set.
    pub fn next(&self, envelope: &[u8]) -> Result<Self, Refusal> {
        let (envelope, set) = Self::read(envelope)?;
        // Of the signatures first, so that a forged set says nothing about its sequence.
        self.check_roots(&envelope, set.issued_at)?;
        set.check_roots(&envelope, set.issued_at)?;
        if self.sequence.checked_add(1) != Some(set.sequence) || set.issued_at < self.issued_at {
            return Err(Refusal::NotNext);
        }
        Ok(set)
    }

    /// Whether the set may be used at this time.
    pub fn is_fresh(&self, now: i64) -> bool {
        now < self.expires_at
    }

    /// Fails unless a signature of the envelope is by a key for this use that is valid at this time.
    pub fn check(&self, envelope: &Envelope, key_use: KeyUse, now: i64) -> Result<(), Refusal> {
        let signed = Envelope::signed_bytes(&envelope.payload_type, &envelope.payload);
        let mut why = Refusal::UnknownKey;
        for signature in &envelope.signatures {
            match self.check_signature(&signature.key_id, &signed, &signature.bytes, key_use, now) {
                Ok(()) => return Ok(()),
                // One of another set says less than one of a known key.
                Err(Refusal::UnknownKey) => {}
                Err(refusal) => why = refusal,
            }
        }
        Err(why)
    }

    /// Checks one signature.
    pub(crate) fn check_signature(
        &self,
        key_id: &str,
        signed: &[u8],
        signature: &[u8],
        key_use: KeyUse,
        now: i64,
    ) -> Result<(), Refusal> {
        let mut of_id = self.anchors.iter().filter(|anchor| anchor.id == key_id).peekable();
        of_id.peek().ok_or(Refusal::UnknownKey)?;
        let anchor = of_id.find(|anchor| anchor.key_use == key_use).ok_or(Refusal::WrongUse)?;
        anchor.check(now)?;
        anchor.verify(signed, signature)
    }

    fn check_roots(&self, envelope: &Envelope, at: i64) -> Result<(), Refusal> {
        self.check(envelope, KeyUse::Root, at)
    }

    fn read(bytes: &[u8]) -> Result<(Envelope, Self), Refusal> {
        let envelope = Envelope::parse(bytes, LIMIT)?;
        if envelope.payload_type != TYPE {
            return Err(Refusal::WrongType);
        }
        let wire: WireSet = strict::parse(&envelope.payload)?;
        if wire.schema != SCHEMA {
            return Err(Refusal::BadSchema);
        }
        let time = |text: &str| instant::seconds(text).ok_or(Refusal::BadSchema);
        let set = Self {
            sequence: wire.sequence,
            issued_at: time(&wire.issued_at)?,
            expires_at: time(&wire.expires_at)?,
            refresh_hint_seconds: wire.refresh_hint_seconds,
            anchors: wire.anchors.into_iter().map(Anchor::read).collect::<Result<_, _>>()?,
            trust_domain: wire.trust_domain,
        };
        Ok((envelope, set))
    }
}

impl Anchor {
    fn read(wire: WireAnchor) -> Result<Self, Refusal> {
        let time = |text: &str| instant::seconds(text).ok_or(Refusal::BadSchema);
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| Refusal::BadSchema);
        Ok(Self {
            key_use: wire.key_use,
            public_key: decode(&wire.public_key)?,
            certificate: wire.x5c.as_deref().map(decode).transpose()?,
            not_before: time(&wire.not_before)?,
            not_after: time(&wire.not_after)?,
            state: wire.state,
            id: wire.id,
        })
    }

    /// Fails unless the key is trusted at this time.
    fn check(&self, now: i64) -> Result<(), Refusal> {
        match self.state {
            KeyState::Revoked => Err(Refusal::RevokedKey),
            KeyState::Upcoming | KeyState::Active | KeyState::Retiring => {
                if (self.not_before..self.not_after).contains(&now) { Ok(()) } else { Err(Refusal::KeyNotValid) }
            }
        }
    }

    /// Verifies an Ed25519 signature (RFC 8032, strictly: no key or signature of small order).
    fn verify(&self, signed: &[u8], signature: &[u8]) -> Result<(), Refusal> {
        let key = self.public_key.strip_prefix(&SPKI).and_then(|key| <&[u8; 32]>::try_from(key).ok());
        let key = key.and_then(|key| VerifyingKey::from_bytes(key).ok()).ok_or(Refusal::UnknownKey)?;
        let signature = Ed25519::from_slice(signature).map_err(|_| Refusal::BadSignature)?;
        key.verify_strict(signed, &signature).map_err(|_| Refusal::BadSignature)
    }
}

/// The DER of an Ed25519 public key.
pub fn spki(public_key: &[u8; 32]) -> Vec<u8> {
    [&SPKI[..], public_key].concat()
}

/// The id of a key: the first 16 bytes of the SHA-256 of its SubjectPublicKeyInfo, in hex.
pub fn key_id(spki: &[u8]) -> String {
    let mut text = String::new();
    hex(&mut text, &Sha256::digest(spki)[..16]);
    text
}
