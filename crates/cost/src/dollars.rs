use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul, Sub};

/// An amount of US dollars.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Dollars(pub f64);

impl fmt::Display for Dollars {
    /// To the cent, and below ten cents to the tenth of one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = if self.0 != 0.0 && self.0.abs() < 0.1 { 3 } else { 2 };
        // A cent that rounds to nothing is shown without a sign.
        // Half a cent is rounded up, also where binary has it a hair below.
        let rounded = format!("{:.decimals$}", self.0.abs() + 1e-9);
        let sign = if self.0 < 0.0 && rounded.bytes().any(|digit| (b'1'..=b'9').contains(&digit)) {
            "-"
        } else {
            ""
        };
        f.pad(&format!("{sign}${rounded}"))
    }
}

impl Add for Dollars {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Dollars {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Mul<f64> for Dollars {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self(self.0 * times)
    }
}

impl Sum for Dollars {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self(amounts.map(|amount| amount.0).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_amounts_are_not_rounded_away() {
        let shown =
            [7.2085, 0.0, 0.0041, 0.1, -3.2, -0.0001, 1_234.5].map(|amount| Dollars(amount).to_string());
        assert_eq!(
            shown,
            [
                "$7.21", "$0.00", "$0.004", "$0.10", "-$3.20", "$0.000", "$1234.50"
            ]
        );
    }
}
