//! The plans, and the names of their limits.

use std::{fmt, str::FromStr};

use serde_json::{Map, Value};

use crate::base::{Error, Result, error::Reason};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Plan {
    /// The smallest plan.
    Starter,
    /// The middle plan.
    Professional,
    /// The largest limited plan.
    Business,
    /// No limits: the default for tenants without a subscription.
    #[default]
    Unlimited,
}

/// Limits that can override those of a plan.
pub const LIMITS: [&str; 9] = [
    "users",
    "devices",
    "devices_per_user",
    "gateways",
    "hosts",
    "concurrent_sessions",
    "reserved_mbps",
    "api_keys",
    "audit_retention_days",
];

impl Plan {
    pub const ALL: [Self; 4] = [Self::Starter, Self::Professional, Self::Business, Self::Unlimited];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starter => "starter",
            Self::Professional => "professional",
            Self::Business => "business",
            Self::Unlimited => "unlimited",
        }
    }

    /// The limit of the plan with this name; none if it has no limit. Plans limit only users (zero-trust contract, section 1).
    pub fn limit(self, name: &str) -> Option<u64> {
        match self {
            _ if name != "users" => None,
            Self::Starter => Some(25),
            Self::Professional => Some(250),
            Self::Business => Some(2500),
            Self::Unlimited => None,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Plan {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let message = "must be one of starter, professional, business, unlimited";
        let plan = Self::ALL.into_iter().find(|plan| plan.as_str() == word);
        plan.ok_or_else(|| Error::invalid(Reason::InvalidArgument, "plan", message))
    }
}

/// Checks overrides of a plan's limits: known names, and whole numbers or null for no limit.
pub fn overrides(given: Map<String, Value>) -> Result<Map<String, Value>> {
    let no =
        |name: &str, message: String| Error::invalid(Reason::InvalidArgument, &format!("overrides.{name}"), message);
    let mut overrides = Map::new();
    for (name, value) in given {
        if !LIMITS.contains(&name.as_str()) {
            let shown: String = name.chars().take(64).collect();
            return Err(no(&shown, format!("must be one of {}", LIMITS.join(", "))));
        }
        let value =
            limit(&value).ok_or_else(|| no(&name, "must be a whole number, or null for no limit".to_owned()))?;
        overrides.insert(name, value);
    }
    Ok(overrides)
}

/// A limit: JSON numbers come as floats.
fn limit(value: &Value) -> Option<Value> {
    // Integers below 2^53 are exact.
    const MOST: f64 = 9_007_199_254_740_991.0;
    match value {
        Value::Null => Some(Value::Null),
        value => {
            let number = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=MOST).contains(number))?;
            Some(Value::from(number as u64))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_plan_is_parsed() {
        for plan in Plan::ALL {
            assert_eq!(plan.as_str().parse::<Plan>().unwrap(), plan);
        }
        assert_eq!(Plan::default(), Plan::Unlimited);
        assert_eq!(Plan::ALL.map(|plan| plan.limit("users")), [Some(25), Some(250), Some(2500), None]);
        assert!(Plan::ALL.iter().all(|plan| plan.limit("devices").is_none()));
        assert_eq!("gold".parse::<Plan>().unwrap_err().violations[0].field, "plan");
    }

    #[test]
    fn limits_are_whole_numbers_or_none() {
        let read = |value: Value| overrides(value.as_object().unwrap().clone()).map(Value::Object);
        assert_eq!(read(json!({"users": 25.0, "devices": null})).unwrap(), json!({"users": 25, "devices": null}));
        let field = |value| read(value).unwrap_err().violations[0].field.clone();
        for bad in [json!(-1), json!(1.5), json!("7"), json!([]), json!(true), json!(1e300)] {
            assert_eq!(field(json!({"users": bad})), "overrides.users");
        }
        assert_eq!(field(json!({"rockets": 1})), "overrides.rockets");
    }
}
