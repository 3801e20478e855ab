use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    SerialNumber,
};
use time::{Duration, macros::datetime};

use super::{
    super::{
        authorities::AuthorityState,
        enrolled::{Standing, testing},
    },
    *,
};
use crate::base::EnrolledKind;

const NOW: OffsetDateTime = datetime!(2026-01-01 12:00 UTC);

/// A certificate authority with its key.
struct Ca {
    params: CertificateParams,
    key: KeyPair,
    certificate: Vec<u8>,
}

impl Ca {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params.not_before, params.not_after) = (NOW - Duration::DAY, NOW + Duration::DAY);
        let certificate = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, certificate }
    }

    fn authority(&self, certifies: EnrolledKind) -> Authority {
        Authority::of_certificate(certifies, &self.certificate, AuthorityState::Active).unwrap()
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> PeerCertificate {
        let mut params = CertificateParams::new([]).unwrap();
        params.subject_alt_names = vec![uri(&spiffe(EnrolledKind::Device))];
        params.serial_number = Some(SerialNumber::from_slice(Uuid::from_u128(9).as_bytes()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        (params.not_before, params.not_after) = (NOW - Duration::HOUR, NOW + Duration::HOUR);
        change(&mut params);
        let issuer = Issuer::from_params(&self.params, &self.key);
        PeerCertificate::new(params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec())
    }
}

fn spiffe(kind: EnrolledKind) -> String {
    let enrolled = testing::enrolled(kind, "", Standing::Active);
    SpiffeId { tenant: enrolled.tenant.id, kind, id: enrolled.id }.uri(&TrustDomain::default())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn is_valid(certificate: &PeerCertificate, authority: Authority) -> bool {
    certificate.verify(&[authority], &TrustDomain::default(), NOW, Duration::ZERO).is_some()
}

#[test]
fn a_certificate_says_whom_it_was_issued_for() {
    let ca = Ca::new("devices");
    let certificate = ca.issue(|_| {});
    let presented = certificate
        .verify(&[ca.authority(EnrolledKind::Device)], &TrustDomain::default(), NOW, Duration::ZERO)
        .unwrap();
    let enrolled = testing::enrolled(EnrolledKind::Device, &presented.thumbprint, Standing::Active);
    let expected = Presented { ends: NOW + Duration::HOUR, ..testing::presented(&enrolled) };
    assert_eq!(presented, expected);
    let mut highest = [0xff; 16];
    highest[1] = 0;
    let certificate = ca.issue(|params| params.serial_number = Some(SerialNumber::from_slice(&highest)));
    let presented = certificate
        .verify(&[ca.authority(EnrolledKind::Device)], &TrustDomain::default(), NOW, Duration::ZERO)
        .unwrap();
    assert_eq!(presented.credential.as_bytes(), &highest);
}

#[test]
fn each_authority_certifies_only_its_kind() {
    let ca = Ca::new("devices");
    let gateway = ca.issue(|params| params.subject_alt_names = vec![uri(&spiffe(EnrolledKind::Gateway))]);
    for (certificate, own, other) in [
        (ca.issue(|_| {}), EnrolledKind::Device, EnrolledKind::Gateway),
        (gateway, EnrolledKind::Gateway, EnrolledKind::Device),
    ] {
        assert!(!is_valid(&certificate, ca.authority(other)));
        assert!(is_valid(&certificate, ca.authority(own)));
    }
}

#[test]
fn only_the_signature_of_a_trusted_authority_counts() {
    let (ca, same_name, other_name) = (Ca::new("devices"), Ca::new("devices"), Ca::new("others"));
    let certificate = ca.issue(|_| {});
    let of = |ca: &Ca| ca.authority(EnrolledKind::Device);
    for _ in 0..2 {
        assert!(!is_valid(&certificate, of(&same_name)) && !is_valid(&certificate, of(&other_name)));
        assert!(certificate.verify(&[], &TrustDomain::default(), NOW, Duration::ZERO).is_none());
        let all = [of(&same_name), of(&other_name), of(&ca)];
        assert!(certificate.verify(&all, &TrustDomain::default(), NOW, Duration::ZERO).is_some());
    }
    assert_eq!(certificate.0.signed_by.lock().unwrap().len(), 2, "only keys with the name of the issuer are tried");
}

#[test]
fn the_state_of_the_authority_is_checked_for_each_call() {
    let ca = Ca::new("devices");
    let certificate = ca.issue(|_| {});
    let with = |state| Authority { state, ..ca.authority(EnrolledKind::Device) };
    for trusted in [AuthorityState::Upcoming, AuthorityState::Active, AuthorityState::Retiring] {
        assert!(is_valid(&certificate, with(trusted)), "{trusted:?}");
    }
    assert!(!is_valid(&certificate, with(AuthorityState::Revoked)));
    let later = Authority { not_before: NOW + Duration::SECOND, ..ca.authority(EnrolledKind::Device) };
    let earlier = Authority { not_after: NOW - Duration::SECOND, ..ca.authority(EnrolledKind::Device) };
    assert!(!is_valid(&certificate, later) && !is_valid(&certificate, earlier));
}

#[test]
fn the_times_and_the_domain_are_checked_for_each_call() {
    let ca = Ca::new("devices");
    let (certificate, authorities) = (ca.issue(|_| {}), [ca.authority(EnrolledKind::Device)]);
    let at = |now| certificate.verify(&authorities, &TrustDomain::default(), now, Duration::ZERO).is_some();
    assert!(at(NOW) && at(NOW + Duration::HOUR) && at(NOW - Duration::HOUR));
    assert!(!at(NOW + Duration::HOUR + Duration::SECOND) && !at(NOW - Duration::HOUR - Duration::SECOND));
    assert!(certificate.verify(&authorities, &"other.example".parse().unwrap(), NOW, Duration::ZERO).is_none());
}

/// A change of a certificate before it is signed.
type Change<'c> = Box<dyn Fn(&mut CertificateParams) + 'c>;

#[test]
fn other_forms_are_refused() {
    let ca = Ca::new("devices");
    let device = spiffe(EnrolledKind::Device);
    let changes: [(&str, Change<'_>); 9] = [
        ("no name", Box::new(|params| params.subject_alt_names.clear())),
        ("two names", Box::new(|params| params.subject_alt_names.push(uri("spiffe://tenantry.local/x")))),
        ("twice", Box::new(|params| params.subject_alt_names = vec![uri(&device), uri(&device)])),
        ("a host", Box::new(|params| params.subject_alt_names = vec![SanType::DnsName("a.b".try_into().unwrap())])),
        ("another path", Box::new(|params| params.subject_alt_names = vec![uri(&format!("{device}/x"))])),
        ("a long serial", Box::new(|params| params.serial_number = Some(SerialNumber::from_slice(&[1; 17])))),
        ("an authority", Box::new(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        ("a server", Box::new(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth])),
        (
            "a critical extension",
            Box::new(|params| {
                let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
                unknown.set_criticality(true);
                params.custom_extensions = vec![unknown];
            }),
        ),
    ];
    for (what, change) in changes {
        assert!(!is_valid(&ca.issue(change), ca.authority(EnrolledKind::Device)), "{what}");
    }
    for bytes in [vec![], vec![0x30], ca.certificate.clone(), [ca.issue(|_| {}).0.der.clone(), vec![0]].concat()] {
        assert!(!is_valid(&PeerCertificate::new(bytes), ca.authority(EnrolledKind::Device)));
    }
}

#[test]
fn an_authority_is_read_from_its_certificate() {
    let ca = Ca::new("devices");
    let authority = ca.authority(EnrolledKind::Device);
    assert_eq!((authority.not_before, authority.not_after), (NOW - Duration::DAY, NOW + Duration::DAY));
    let leaf = ca.issue(|_| {}).0.der.clone();
    for bytes in [&leaf[..], b"", &[&ca.certificate[..], b"x"].concat()] {
        assert!(Authority::of_certificate(EnrolledKind::Device, bytes, AuthorityState::Active).is_err());
    }
}
