//! The settings of usage and invoices.

use time::{Duration, OffsetDateTime};

use super::{money::Rate, months::Month};
use crate::base::{Error, Result, error::Reason};

/// The settings of usage and invoices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillingSettings {
    /// The price of a thousandth of a CPU for an hour, unless the tenant has another one.
    pub cpu_milli: Rate,
    /// The price of a MiB of memory for an hour, unless the tenant has another one.
    pub mem_mib: Rate,
    /// How long after its end a month is closed: nothing in it changes after that.
    pub close_after: Duration,
}

impl BillingSettings {
    /// Refuses a time in a closed month. Errors name `field`.
    pub(super) fn refuse_closed(&self, field: &str, at: OffsetDateTime, now: OffsetDateTime) -> Result<()> {
        let month = Month::of(at);
        if month.is_closed(now, self.close_after) {
            let text = format!("the month {month} is closed: {field} is too late");
            return Err(Error::invalid(Reason::InvalidArgument, field, text));
        }
        Ok(())
    }
}
