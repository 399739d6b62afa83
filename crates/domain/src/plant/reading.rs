//! What a plant system says of a tag at a point in time.

use crate::role::string_enum;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

string_enum! {
    /// How far a value may be relied on, by the words of OPC UA (OPC 10000-8, 6.3.2). In the order of their severity.
    Quality {
        /// The source vouches for the value.
        Good = "good",
        /// The value may be wrong, or its source does not say; usable with that reservation.
        Uncertain = "uncertain",
        /// The value is not to be used.
        Bad = "bad",
    }
}

/// The value of a tag. On the wire a JSON number, boolean or string.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TagValue {
    /// A measurement or a count; always finite.
    Number(f64),
    /// A switch, a coil, a discrete input.
    Bool(bool),
    /// A state by its name, such as the state of a digital tag in PI.
    Text(String),
}

impl TagValue {
    /// A number, or `None` if it is infinite or not a number, which JSON cannot hold and no measurement is.
    #[must_use]
    pub fn number(value: f64) -> Option<Self> {
        value.is_finite().then_some(Self::Number(value))
    }

    /// The value as a number, for aggregates; `None` for booleans and texts.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }
}

impl fmt::Display for TagValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// One value of a tag, as its source gave it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// The value, scaled to the tag's unit; `None` if the source gave none, which only a bad sample may.
    pub value: Option<TagValue>,
    /// The unit that the source itself states; the tag's catalogue entry comes first where it has one.
    pub unit: Option<String>,
    /// Quality as the source states it. A source that states none is [`Quality::Uncertain`] unless its protocol's rules
    /// say otherwise.
    pub quality: Quality,
    /// The source's own code of that quality, such as `OPCUA:0x80310000` or `sparkplug:500`.
    pub quality_code: Option<String>,
    /// When the source took the value, by its clock; `None` if it does not say.
    pub source_timestamp: Option<Timestamp>,
    /// When the connector received the value, by the platform's clock.
    pub received_at: Timestamp,
}
