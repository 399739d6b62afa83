//! The messages of Sparkplug B (`org.eclipse.tahu.protobuf`), limited to the fields that are read: complex values stay
//! bytes.

use crate::sample;
use domain::plant::TagValue;
use prost::{Message, Oneof};

/// The content of every Sparkplug message but STATE.
#[derive(Clone, PartialEq, Message)]
pub struct Payload {
    /// When it was published, in milliseconds since 1970.
    #[prost(uint64, optional, tag = "1")]
    pub timestamp: Option<u64>,
    /// The metrics of the message.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    /// Counts the messages of an edge node, 0 to 255; an NDEATH has none.
    #[prost(uint64, optional, tag = "3")]
    pub seq: Option<u64>,
}

/// A value with its name or alias.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    /// Name of the metric; in births, and where no alias is used.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// Alias of the name, defined by the last birth.
    #[prost(uint64, optional, tag = "2")]
    pub alias: Option<u64>,
    /// When the value was taken, in milliseconds since 1970.
    #[prost(uint64, optional, tag = "3")]
    pub timestamp: Option<u64>,
    /// One of [`datatype`]; optional in data messages.
    #[prost(uint32, optional, tag = "4")]
    pub datatype: Option<u32>,
    /// Whether it is a past value.
    #[prost(bool, optional, tag = "5")]
    pub is_historical: Option<bool>,
    /// There is no value.
    #[prost(bool, optional, tag = "7")]
    pub is_null: Option<bool>,
    /// Description of the metric.
    #[prost(message, optional, tag = "8")]
    pub metadata: Option<MetaData>,
    /// Properties such as quality and unit.
    #[prost(message, optional, tag = "9")]
    pub properties: Option<PropertySet>,
    /// The value, in the field of its data type.
    #[prost(oneof = "MetricValue", tags = "10, 11, 12, 13, 14, 15, 16, 17, 18")]
    pub value: Option<MetricValue>,
}

/// The value of a metric. Signed numbers are in two's complement, in as many bits as their data type has.
#[derive(Clone, PartialEq, Oneof)]
pub enum MetricValue {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    String(String),
    #[prost(bytes = "vec", tag = "16")]
    Bytes(Vec<u8>),
    #[prost(bytes = "vec", tag = "17")]
    DataSet(Vec<u8>),
    #[prost(bytes = "vec", tag = "18")]
    Template(Vec<u8>),
}

/// Description of a metric.
#[derive(Clone, PartialEq, Message)]
pub struct MetaData {
    /// Free text about the metric.
    #[prost(string, optional, tag = "8")]
    pub description: Option<String>,
}

/// A map, as two lists of the same length.
#[derive(Clone, PartialEq, Message)]
pub struct PropertySet {
    /// Names of the properties.
    #[prost(string, repeated, tag = "1")]
    pub keys: Vec<String>,
    /// Values of the properties, in the order of the names.
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<PropertyValue>,
}

/// A value in a [`PropertySet`].
#[derive(Clone, PartialEq, Message)]
pub struct PropertyValue {
    /// One of [`datatype`].
    #[prost(uint32, optional, tag = "1")]
    pub datatype: Option<u32>,
    /// There is no value.
    #[prost(bool, optional, tag = "2")]
    pub is_null: Option<bool>,
    /// The value; nested sets of properties are ignored.
    #[prost(oneof = "PropertyData", tags = "3, 4, 5, 6, 7, 8")]
    pub value: Option<PropertyData>,
}

/// The value of a property.
#[derive(Clone, PartialEq, Oneof)]
pub enum PropertyData {
    #[prost(uint32, tag = "3")]
    Int(u32),
    #[prost(uint64, tag = "4")]
    Long(u64),
    #[prost(float, tag = "5")]
    Float(f32),
    #[prost(double, tag = "6")]
    Double(f64),
    #[prost(bool, tag = "7")]
    Boolean(bool),
    #[prost(string, tag = "8")]
    String(String),
}

/// Numbers of the data types that affect how a value is read.
pub mod datatype {
    pub const INT8: u32 = 1;
    pub const INT16: u32 = 2;
    pub const INT32: u32 = 3;
    pub const INT64: u32 = 4;
}

impl Metric {
    /// The value; `None` if there is none, or none that the platform can hold. `datatype` is that of the birth.
    pub fn tag_value(&self, datatype: Option<u32>) -> Option<TagValue> {
        if self.is_null == Some(true) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "an Int8 and an Int16 are the lowest bits of their field")]
        let signed = |bits: u32| match datatype {
            Some(datatype::INT8) => f64::from(bits as i8),
            Some(datatype::INT16) => f64::from(bits as i16),
            Some(datatype::INT32) => f64::from(bits.cast_signed()),
            _ => f64::from(bits),
        };
        #[expect(clippy::cast_precision_loss, reason = "a number of JSON has no more precision either")]
        let long = |bits: u64| match datatype {
            Some(datatype::INT64) => bits.cast_signed() as f64,
            _ => bits as f64,
        };
        match self.value.as_ref()? {
            MetricValue::Int(bits) => TagValue::number(signed(*bits)),
            MetricValue::Long(bits) => TagValue::number(long(*bits)),
            MetricValue::Float(single) => TagValue::number(sample::single_as_double(*single)),
            MetricValue::Double(double) => TagValue::number(*double),
            MetricValue::Boolean(value) => Some(TagValue::Bool(*value)),
            MetricValue::String(text) => Some(sample::text(text)),
            MetricValue::Bytes(_) | MetricValue::DataSet(_) | MetricValue::Template(_) => None,
        }
    }

    /// A property by one of its names, ignoring case.
    pub fn property(&self, names: &[&str]) -> Option<&PropertyData> {
        let set = self.properties.as_ref()?;
        let found = set.keys.iter().position(|key| names.iter().any(|name| key.eq_ignore_ascii_case(name)))?;
        set.values.get(found).filter(|value| value.is_null != Some(true))?.value.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(value: MetricValue) -> Metric {
        Metric { value: Some(value), ..Metric::default() }
    }

    #[test]
    fn signed_numbers_are_twos_complement_of_their_type() {
        let minus_two = metric(MetricValue::Int(0xFFFF_FFFE));
        assert_eq!(minus_two.tag_value(Some(datatype::INT32)), Some(TagValue::Number(-2.0)));
        assert_eq!(minus_two.tag_value(Some(datatype::INT8)), Some(TagValue::Number(-2.0)));
        assert_eq!(minus_two.tag_value(Some(7)), Some(TagValue::Number(4_294_967_294.0)));
        assert_eq!(metric(MetricValue::Int(0xFFFE)).tag_value(Some(datatype::INT16)), Some(TagValue::Number(-2.0)));
        let long = metric(MetricValue::Long(u64::MAX));
        assert_eq!(long.tag_value(Some(datatype::INT64)), Some(TagValue::Number(-1.0)));
    }

    #[test]
    fn null_and_complex_values_are_no_value() {
        let null = Metric { is_null: Some(true), ..metric(MetricValue::Double(1.0)) };
        assert_eq!(null.tag_value(None), None);
        assert_eq!(metric(MetricValue::Template(vec![1])).tag_value(None), None);
        assert_eq!(metric(MetricValue::Double(f64::INFINITY)).tag_value(None), None);
    }

    #[test]
    fn a_birth_as_tahu_encodes_it_is_read() {
        let bytes =
            hex::decode(include_str!("../../tests/golden/sparkplug-nbirth.hex").split_whitespace().collect::<String>());
        let payload = Payload::decode(bytes.unwrap().as_slice()).unwrap();
        assert_eq!((payload.timestamp, payload.seq), (Some(1_795_345_548_607), Some(0)));
        let pressure = &payload.metrics[1];
        assert_eq!((pressure.name.as_deref(), pressure.alias), (Some("Pressure"), Some(7)));
        assert_eq!(pressure.tag_value(pressure.datatype), Some(TagValue::Number(4.6)));
        assert_eq!(pressure.property(&["quality"]), Some(&PropertyData::Int(192)));
        assert_eq!(pressure.property(&["engUnit"]), Some(&PropertyData::String("bar".into())));
    }
}
