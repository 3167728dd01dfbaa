//! An unsigned integer that JavaScript can hold exactly.

use serde::{Deserialize, Serialize};

/// A byte offset or count: at most 2^53 - 1, so that a JavaScript number holds it exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "generate", derive(ts_rs::TS, schemars::JsonSchema))]
#[cfg_attr(feature = "generate", ts(type = "number"))]
#[serde(try_from = "u64", into = "u64")]
#[cfg_attr(feature = "generate", schemars(with = "u64"))]
pub struct SafeInt(u64);

impl SafeInt {
    /// The greatest value: `Number.MAX_SAFE_INTEGER`.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// `value`, or [`Self::MAX`] where it is greater.
    #[must_use]
    pub const fn saturating(value: u64) -> Self {
        if value > Self::MAX.0 { Self::MAX } else { Self(value) }
    }

    /// The value as an integer.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for SafeInt {
    type Error = String;

    fn try_from(value: u64) -> Result<Self, Self::Error> {
        if value > Self::MAX.0 {
            return Err(format!("{value} is greater than 2^53 - 1"));
        }
        Ok(Self(value))
    }
}

impl From<SafeInt> for u64 {
    fn from(value: SafeInt) -> Self {
        value.0
    }
}
