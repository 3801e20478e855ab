//! Enrollments of gateways with certificates, by the CPU time of the program.

use std::time::Instant;

use rcgen::{CertificateParams, CertificateSigningRequestParams, Issuer, KeyPair};
use tenantry_gateway_sim::{Enrolled, Key, Plan, Route};

use super::{
    missed_if,
    support::{self, program::Program},
};

/// The required enrollments a second of CPU time.
const GOAL: f64 = 1500.0;

/// Enrolls gateways, and prints what that costs if it is wanted.
pub async fn run(program: &Program, route: &Route, token: &str, number: usize, is_wanted: bool) -> Vec<Enrolled> {
    let plan = Plan { streams_per_connection: 1, ..Plan::of(route.clone()) };
    let (before, began) = (program.cpu(), Instant::now());
    let enrolled = plan.enroll(token, number).await.expect("enrollments");
    let (cpu, took) = ((program.cpu() - before).as_secs_f64(), began.elapsed().as_secs_f64());
    if is_wanted {
        println!("enrollment of {number} gateways with a certificate, over gRPC, 16 at a time");
        support::rate("by hand: request read and certificate signed, on one thread", by_hand());
        let each_second = number as f64 / cpu;
        println!("  {:.0} a second beside the client", number as f64 / took);
        println!("  {each_second:.0} a second of CPU time (goal at least {GOAL:.0}{})", missed_if(each_second < GOAL));
    }
    enrolled
}

/// The rate of the cryptography alone: the signing request is verified, and a certificate signed.
fn by_hand() -> f64 {
    let mut params = CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = Issuer::new(params, KeyPair::generate().expect("a key"));
    let request = Key::generate().signing_request().expect("a request");
    support::calls(1000, || {
        let read = CertificateSigningRequestParams::from_pem(&request).expect("a request");
        read.signed_by(&issuer).expect("a certificate")
    })
}
