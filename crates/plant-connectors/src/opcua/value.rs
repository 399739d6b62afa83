//! Conversion of OPC UA data values.

use crate::sample;
use domain::plant::{Quality, Sample, TagMapping, TagValue};
use domain::time::Timestamp;
use opcua::types::{DataValue, DateTime, EUInformation, StatusCode, Variant};

/// Quality of a status code: its two highest bits (OPC 10000-4, 7.39.1).
pub fn quality(status: StatusCode) -> Quality {
    match status.bits() >> 30 {
        0 => Quality::Good,
        1 => Quality::Uncertain,
        _ => Quality::Bad,
    }
}

/// A status code in the form that the platform shows.
pub fn code(status: StatusCode) -> String {
    format!("OPCUA:0x{:08X}", status.bits())
}

/// The sample of a data value.
pub fn to_sample(data: &DataValue, mapping: &TagMapping, received_at: Timestamp) -> Sample {
    // A value without a status is good (OPC 10000-6, 5.2.2.17).
    let status = data.status.unwrap_or(StatusCode::Good);
    let value = data.value.as_ref().and_then(tag_value).and_then(|value| sample::scaled_value(value, mapping));
    let quality_code = match &data.value {
        Some(variant) if value.is_none() && !matches!(variant, Variant::Empty) => {
            format!("{}:not_a_scalar", code(status))
        }
        _ => code(status),
    };
    Sample {
        quality: if value.is_some() { quality(status) } else { Quality::Bad },
        quality_code: Some(quality_code),
        value,
        unit: None,
        source_timestamp: data.source_timestamp.as_ref().and_then(time),
        received_at,
    }
}

/// The time; `None` if it is not given.
pub fn time(time: &DateTime) -> Option<Timestamp> {
    (!time.is_null()).then(|| sample::truncate_to_stored_precision(time.as_chrono()))
}

/// A scalar; `None` for other values, and for numbers that are infinite or NaN.
pub fn tag_value(variant: &Variant) -> Option<TagValue> {
    #[expect(clippy::cast_precision_loss, reason = "a number of JSON has no more precision either")]
    let number = match variant {
        Variant::Boolean(value) => return Some(TagValue::Bool(*value)),
        Variant::String(text) => return Some(sample::text(text.as_ref())),
        Variant::LocalizedText(text) => return Some(sample::text(text.text.as_ref())),
        Variant::DateTime(value) => return time(value).map(|time| TagValue::Text(time.to_rfc3339())),
        Variant::Variant(inner) if !matches!(**inner, Variant::Variant(_)) => return tag_value(inner),
        Variant::SByte(value) => f64::from(*value),
        Variant::Byte(value) => f64::from(*value),
        Variant::Int16(value) => f64::from(*value),
        Variant::UInt16(value) => f64::from(*value),
        Variant::Int32(value) => f64::from(*value),
        Variant::UInt32(value) => f64::from(*value),
        Variant::Int64(value) => *value as f64,
        Variant::UInt64(value) => *value as f64,
        Variant::Float(value) => sample::single_as_double(*value),
        Variant::Double(value) => *value,
        _ => return None,
    };
    TagValue::number(number)
}

/// The unit in the value of a property `EngineeringUnits`.
pub fn unit(data: &DataValue) -> Option<String> {
    match data.value.as_ref()? {
        Variant::ExtensionObject(object) => {
            let unit = object.inner_as::<EUInformation>()?;
            sample::unit(unit.display_name.text.as_ref())
        }
        // Some servers return it as text.
        Variant::String(text) => sample::unit(text.as_ref()),
        Variant::LocalizedText(text) => sample::unit(text.text.as_ref()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::TagAddress;
    use opcua::types::{Array, ExtensionObject, LocalizedText, VariantScalarTypeId};

    fn sample_of(value: impl Into<Variant>, status: u32) -> Sample {
        let mapping = TagMapping { address: TagAddress("i=1".into()), data_type: None, scale: None };
        let data = DataValue {
            value: Some(value.into()),
            status: Some(StatusCode::from(status)),
            source_timestamp: Some(DateTime::from((2026, 11, 22, 11, 5, 48))),
            ..DataValue::default()
        };
        to_sample(&data, &mapping, chrono::DateTime::UNIX_EPOCH)
    }

    #[test]
    fn qualities_are_the_top_bits_of_the_status() {
        for (status, quality, code) in [
            (0, Quality::Good, "OPCUA:0x00000000"),
            (0x0096_0000, Quality::Good, "OPCUA:0x00960000"),
            (0x4090_0000, Quality::Uncertain, "OPCUA:0x40900000"),
            (0x8031_0000, Quality::Bad, "OPCUA:0x80310000"),
            (0x808A_0123, Quality::Bad, "OPCUA:0x808A0123"),
        ] {
            let sample = sample_of(4.6, status);
            assert_eq!((sample.quality, sample.quality_code.as_deref()), (quality, Some(code)));
            assert_eq!(sample.value, Some(TagValue::Number(4.6)));
        }
    }

    #[test]
    fn scalars_are_values_and_the_rest_is_not() {
        assert_eq!(sample_of(2.6_f32, 0).value, Some(TagValue::Number(2.6)));
        assert_eq!(sample_of(-5_i64, 0).value, Some(TagValue::Number(-5.0)));
        assert_eq!(sample_of(true, 0).value, Some(TagValue::Bool(true)));
        assert_eq!(sample_of(LocalizedText::new("en", "Running"), 0).value, Some(TagValue::Text("Running".into())));
        let array = Array::new(VariantScalarTypeId::Double, vec![Variant::Double(1.0)]).unwrap();
        let list = sample_of(Variant::Array(Box::new(array)), 0);
        assert_eq!((list.value, list.quality), (None, Quality::Bad));
        assert_eq!(list.quality_code.as_deref(), Some("OPCUA:0x00000000:not_a_scalar"));
        assert_eq!(sample_of(f64::NAN, 0).quality, Quality::Bad);
    }

    #[test]
    fn units_are_the_display_name() {
        let unit_of = |value| unit(&DataValue { value: Some(value), ..DataValue::default() });
        let information = EUInformation {
            display_name: LocalizedText::new("en", "bar"),
            unit_id: 4_341_074,
            ..EUInformation::default()
        };
        let object = Variant::ExtensionObject(ExtensionObject::from_message(information));
        assert_eq!(unit_of(object).as_deref(), Some("bar"));
        assert_eq!(unit_of(Variant::Double(1.0)), None);
    }
}
