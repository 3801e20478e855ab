//! How clients select a gateway of a pool.

use std::str::FromStr;

use super::text::text_column;
use crate::base::{Error, Result};

/// How clients select a gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolSelection {
    /// The nearest one.
    #[default]
    Latency,
    /// At random, by the weights of the pools.
    Weighted,
    /// From the pool with the lowest priority number.
    Priority,
}

impl PoolSelection {
    pub const ALL: [Self; 3] = [Self::Latency, Self::Weighted, Self::Priority];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Weighted => "weighted",
            Self::Priority => "priority",
        }
    }
}

impl FromStr for PoolSelection {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self> {
        let selection = Self::ALL.into_iter().find(|selection| selection.as_str() == word);
        selection.ok_or_else(|| Error::internal(format!("unknown selection {word:?}")))
    }
}

text_column!(PoolSelection, PoolSelection::as_str);
