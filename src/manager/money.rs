//! Money: exact decimals, rounded once, half to even, to six digits (manager contract, decisions).

use std::{fmt, str::FromStr};

use bigdecimal::{BigDecimal, RoundingMode};

/// Digits of an amount after the point.
const DIGITS: i64 = 6;

/// The text is not a decimal of the expected form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotADecimal;

/// A price per unit and hour: at most nine digits before the point and twelve after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate(BigDecimal);

/// The part of a price that is not charged, from 0 to 1 with at most six digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discount(BigDecimal);

/// An exact amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Amount(BigDecimal);

impl FromStr for Rate {
    type Err = NotADecimal;

    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        decimal(text, 9, 12).map(Self)
    }
}

impl FromStr for Discount {
    type Err = NotADecimal;

    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        let part = decimal(text, 1, 6)?;
        if part <= 1 { Ok(Self(part)) } else { Err(NotADecimal) }
    }
}

/// Digits, and a point with more digits after it.
fn decimal(text: &str, before: usize, after: usize) -> Result<BigDecimal, NotADecimal> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole, before) || !digits(fraction, after) {
        return Err(NotADecimal);
    }
    text.parse().map_err(|_| NotADecimal)
}

impl Rate {
    /// The price of a quantity.
    pub fn of(&self, quantity: i128) -> Amount {
        Amount(&self.0 * BigDecimal::from(quantity))
    }
}

impl Default for Rate {
    /// Free of charge.
    fn default() -> Self {
        Self(BigDecimal::from(0))
    }
}

impl Default for Discount {
    /// None.
    fn default() -> Self {
        Self(BigDecimal::from(0))
    }
}

impl Discount {
    /// What is not charged of an amount.
    pub fn of(&self, amount: &Amount) -> Amount {
        Amount(&self.0 * &amount.0)
    }
}

impl Default for Amount {
    fn default() -> Self {
        Self(BigDecimal::from(0))
    }
}

impl Amount {
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self(&self.0 + &other.0)
    }

    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    /// The rounded amount, as it is written.
    pub fn rounded(&self) -> String {
        plain(&self.0.with_scale_round(DIGITS, RoundingMode::HalfEven))
    }
}

fn plain(decimal: &BigDecimal) -> String {
    decimal.normalized().to_plain_string()
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(&self.0))
    }
}

impl fmt::Display for Discount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&plain(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_is_a_plain_decimal() {
        for good in ["0", "1", "0.000001", "0.0000002", "123456789.123456789012", "007"] {
            assert!(good.parse::<Rate>().is_ok(), "{good}");
        }
        for bad in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "abc",
            "1,5",
            " 1",
            "1234567890",
            "0.1234567890123",
            "NaN",
            "\u{661}",
        ] {
            assert_eq!(bad.parse::<Rate>(), Err(NotADecimal), "{bad}");
        }
    }

    #[test]
    fn a_discount_is_at_most_one() {
        assert_eq!("1".parse::<Discount>().unwrap().of(&rate("2").of(3)).rounded(), "6");
        assert_eq!("0.25".parse::<Discount>().unwrap().of(&rate("1").of(2)).rounded(), "0.5");
        for bad in ["1.000001", "2", "-0.1", "0.1234567"] {
            assert!(bad.parse::<Discount>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_amount_is_rounded_half_to_even_to_six_digits() {
        for (price, quantity, rounded) in [
            ("0.000001", 100, "0.0001"),
            ("0.0000005", 1, "0"),
            ("0.0000005", 3, "0.000002"),
            ("0.0000005", 5, "0.000002"),
            ("0.00000050001", 1, "0.000001"),
            ("1", 120, "120"),
            ("0.1", 3, "0.3"),
            ("123456789.5", i128::from(i64::MAX), "1138687900034166298874491626.5"),
        ] {
            assert_eq!(rate(price).of(quantity).rounded(), rounded, "{price} * {quantity}");
        }
    }
}
