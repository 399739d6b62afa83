//! Decoding of registers and bits.

use crate::sample;
use domain::plant::{ByteOrder, DataType, TagMapping, TagValue};
use tokio_modbus::ExceptionCode;

/// Order of bytes and registers of a device.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Order of the two bytes within a register.
    pub bytes: ByteOrder,
    /// Order of the registers within a value.
    pub words: ByteOrder,
}

/// The value of as many registers as the data type has. `None` if it is not a number, such as a float's NaN.
pub fn registers(words: &[u16], data_type: DataType, layout: Layout, mapping: &TagMapping) -> Option<TagValue> {
    let word = |index: usize| {
        let word = words.get(index).copied()?;
        Some(if layout.bytes == ByteOrder::Little { word.swap_bytes() } else { word })
    };
    let double = || {
        let (first, second) = (u32::from(word(0)?), u32::from(word(1)?));
        Some(if layout.words == ByteOrder::Little { (second << 16) | first } else { (first << 16) | second })
    };
    let number = match data_type {
        DataType::Bool => return Some(TagValue::Bool(word(0)? != 0)),
        DataType::Int16 => f64::from(word(0)?.cast_signed()),
        DataType::Uint16 => f64::from(word(0)?),
        DataType::Int32 => f64::from(double()?.cast_signed()),
        DataType::Uint32 => f64::from(double()?),
        DataType::Float32 => sample::single_as_double(f32::from_bits(double()?)),
    };
    sample::scaled(number, mapping)
}

/// The quality code for an exception.
pub fn exception(code: ExceptionCode) -> String {
    let number = u8::from(code);
    let words = match code {
        ExceptionCode::IllegalFunction => "illegal_function",
        ExceptionCode::IllegalDataAddress => "illegal_data_address",
        ExceptionCode::IllegalDataValue => "illegal_data_value",
        ExceptionCode::ServerDeviceFailure => "device_failure",
        ExceptionCode::Acknowledge => "acknowledge",
        ExceptionCode::ServerDeviceBusy => "device_busy",
        ExceptionCode::MemoryParityError => "memory_parity_error",
        ExceptionCode::GatewayPathUnavailable => "gateway_path_unavailable",
        ExceptionCode::GatewayTargetDevice => "gateway_target_silent",
        ExceptionCode::Custom(_) => "exception",
    };
    format!("modbus:{number}:{words}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::TagAddress;

    const BIG: Layout = Layout { bytes: ByteOrder::Big, words: ByteOrder::Big };

    fn mapping(scale: Option<f64>) -> TagMapping {
        TagMapping { address: TagAddress("holding:0".into()), data_type: None, scale }
    }

    fn number(words: &[u16], data_type: DataType, layout: Layout) -> Option<f64> {
        registers(words, data_type, layout, &mapping(None)).and_then(|value| value.as_number())
    }

    #[test]
    fn every_type_in_every_order() {
        assert_eq!(number(&[0xFFFE], DataType::Int16, BIG), Some(-2.0));
        assert_eq!(number(&[0xFFFE], DataType::Uint16, BIG), Some(65_534.0));
        assert_eq!(number(&[0xFFFF, 0xFFFE], DataType::Int32, BIG), Some(-2.0));
        // 2.5 as IEEE 754 is 0x40200000.
        for (words, bytes, order) in [
            ([0x4020, 0x0000], ByteOrder::Big, ByteOrder::Big),
            ([0x0000, 0x4020], ByteOrder::Big, ByteOrder::Little),
            ([0x2040, 0x0000], ByteOrder::Little, ByteOrder::Big),
            ([0x0000, 0x2040], ByteOrder::Little, ByteOrder::Little),
        ] {
            assert_eq!(number(&words, DataType::Float32, Layout { bytes, words: order }), Some(2.5), "{words:x?}");
        }
        assert_eq!(registers(&[1], DataType::Bool, BIG, &mapping(None)), Some(TagValue::Bool(true)));
    }

    #[test]
    fn scale_applies_and_nan_is_no_value() {
        assert_eq!(registers(&[250], DataType::Uint16, BIG, &mapping(Some(0.01))), Some(TagValue::Number(2.5)));
        assert_eq!(number(&[0x7FC0, 0], DataType::Float32, BIG), None);
        assert_eq!(number(&[0x4020], DataType::Float32, BIG), None, "too few registers");
    }

    #[test]
    fn exceptions_have_number_and_name() {
        assert_eq!(exception(ExceptionCode::IllegalDataAddress), "modbus:2:illegal_data_address");
        assert_eq!(exception(ExceptionCode::Custom(99)), "modbus:99:exception");
    }
}
