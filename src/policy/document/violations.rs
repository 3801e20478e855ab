//! Collects what is wrong with a policy, with the JSON path of each invalid member.

use super::words::Word;
use crate::base::{
    Error, Kind, Result,
    error::{Reason, Violation},
};

/// The number of violations that are reported; the others are counted.
const REPORTED: usize = 100;

/// The invalid members of a policy.
#[derive(Debug, Default)]
pub struct Violations {
    reported: Vec<Violation>,
    count: usize,
}

impl Violations {
    /// Records that a member breaks a rule. `rule` continues a sentence that starts with the member.
    pub fn add(&mut self, path: impl Into<String>, rule: impl Into<String>) {
        self.count += 1;
        if self.reported.len() < REPORTED {
            self.reported.push(Violation { field: path.into(), description: rule.into() });
        }
    }

    /// Records the failure of a member.
    pub fn check<T>(&mut self, path: &str, value: Result<T, impl Into<String>>) -> Option<T> {
        value.map_err(|rule| self.add(path, rule)).ok()
    }

    /// Reads a word.
    pub fn word<W: Word>(&mut self, path: &str, text: &str) -> Option<W> {
        self.check(path, W::read(text).ok_or_else(|| format!("must be {}", W::list())))
    }

    /// Checks that a number is in a range.
    pub fn number(&mut self, path: &str, number: i32, least: u32, most: u32) -> Option<u32> {
        let within = u32::try_from(number).ok().filter(|number| (least..=most).contains(number));
        self.check(path, within.ok_or_else(|| format!("must be {least} to {most}")))
    }

    /// Checks the length of a list, and whether its items need to be read.
    pub fn at_most(&mut self, path: &str, length: usize, most: usize) -> bool {
        let short = length <= most;
        if !short {
            self.add(path, format!("must have at most {most} items"));
        }
        short
    }

    /// Fails with INVALID_ARGUMENT if there are any.
    pub fn finish(self) -> Result<()> {
        let Some(first) = self.reported.first() else { return Ok(()) };
        let one = format!("{} {}", first.field, first.description);
        let message = match self.count {
            1 => one,
            count => format!("the policy has {count} invalid members; the first: {one}"),
        };
        Err(Error { violations: self.reported, ..Error::new(Kind::InvalidArgument, Reason::InvalidArgument, message) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_reported_violations_is_bounded() {
        let mut violations = Violations::default();
        (0..150).for_each(|at| violations.add(format!("policy.routes[{at}].cidr"), "is bad"));
        let error = violations.finish().unwrap_err();
        assert_eq!(error.violations.len(), REPORTED);
        assert_eq!(error.to_string(), "the policy has 150 invalid members; the first: policy.routes[0].cidr is bad");
        assert!(Violations::default().finish().is_ok());
    }
}
