//! The cohort of a canary: the devices that get it.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{base::IdKind, store::columns::PolicyCanary};

/// Whether a device in these groups is in the cohort: in the percentage, or listed.
pub fn is_in_cohort(canary: &PolicyCanary, device: Uuid, groups: &[Uuid]) -> bool {
    canary.percent.is_some_and(|percent| bucket(&IdKind::Device.show(device)) < percent)
        || canary.device_ids.contains(&device)
        || canary.group_ids.iter().any(|group| groups.contains(group))
}

/// Whether a gateway in this bucket is in the cohort.
pub fn has_bucket(canary: &PolicyCanary, bucket: u32) -> bool {
    canary.percent.is_some_and(|percent| bucket < percent)
}

/// The place of the device or gateway with this public id among 100 (zero-trust contract, decisions, "Canary"). It does not depend on
/// the percentage, so a higher one only adds to the cohort.
pub fn bucket(id: &str) -> u32 {
    let digest = Sha256::digest(id);
    let first = digest.first_chunk::<4>().copied().unwrap_or_default();
    u32::from_be_bytes(first) % 100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn devices() -> impl Iterator<Item = Uuid> {
        (0..1000_u128).map(|number| Uuid::from_u128(number << 64 | 7))
    }

    fn percent(percent: u32) -> PolicyCanary {
        PolicyCanary { percent: Some(percent), ..PolicyCanary::default() }
    }

    #[test]
    fn a_bucket_is_that_of_the_public_id() {
        // sha256("dev_01J7ST8Z0GFCQ9TCATDDY8V7GF") begins with d3c27678.
        assert_eq!(bucket("dev_01J7ST8Z0GFCQ9TCATDDY8V7GF"), 0xd3c27678 % 100);
    }

    #[test]
    fn a_higher_percentage_only_adds_devices() {
        let cohort = |of: u32| devices().filter(|device| is_in_cohort(&percent(of), *device, &[])).collect::<Vec<_>>();
        let (ten, thirty) = (cohort(10), cohort(30));
        assert!(ten.iter().all(|device| thirty.contains(device)));
        assert!((60..140).contains(&ten.len()) && (230..370).contains(&thirty.len()), "{} {}", ten.len(), thirty.len());
        assert_eq!(cohort(100).len(), 1000);
        assert!(cohort(0).is_empty());
    }

    #[test]
    fn listed_devices_and_groups_are_in_the_cohort() {
        let (device, group, other) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let by_device = PolicyCanary { device_ids: vec![device], ..PolicyCanary::default() };
        let by_group = PolicyCanary { group_ids: vec![group], ..PolicyCanary::default() };
        assert!(is_in_cohort(&by_device, device, &[]) && !is_in_cohort(&by_device, other, &[group]));
        assert!(is_in_cohort(&by_group, other, &[group]) && !is_in_cohort(&by_group, device, &[other]));
    }
}
