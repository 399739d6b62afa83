//! Addresses of Modbus tags: `holding:N`, `input:N`, `coil:N` or `discrete:N`, counted from 0.

use crate::failure;
use domain::plant::{ConnectorError, DataType, TagMapping};

/// The four tables of a Modbus device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Table {
    /// Function code 1.
    Coils,
    /// Function code 2.
    DiscreteInputs,
    /// Function code 3.
    HoldingRegisters,
    /// Function code 4.
    InputRegisters,
}

impl Table {
    /// Whether an entry is one bit.
    pub fn holds_bits(self) -> bool {
        matches!(self, Self::Coils | Self::DiscreteInputs)
    }

    /// Maximum entries per request.
    pub fn max_quantity(self) -> u16 {
        if self.holds_bits() { 2_000 } else { 125 }
    }
}

/// The location of a tag's value in a device.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Address {
    /// The table that the address is in.
    pub table: Table,
    /// First entry, from 0.
    pub start: u16,
    /// Number of entries that hold the value.
    pub quantity: u16,
}

/// How a tag without a data type is read: a register as an unsigned number, a bit as one.
pub fn data_type(table: Table, stated: Option<DataType>) -> DataType {
    match stated {
        _ if table.holds_bits() => DataType::Bool,
        Some(data_type) => data_type,
        None => DataType::Uint16,
    }
}

impl Address {
    /// # Errors
    /// [`ConnectorError::Configuration`] if the address cannot be used.
    pub fn of(mapping: &TagMapping) -> Result<Self, ConnectorError> {
        let text = mapping.address.0.as_str();
        let unusable = || {
            failure::configuration(format!(
                "{} is no Modbus address: use holding:N, input:N, coil:N or discrete:N, counted from 0",
                failure::foreign(text)
            ))
        };
        let (table, number) = text.trim().split_once(':').ok_or_else(unusable)?;
        let table = match table {
            "coil" => Table::Coils,
            "discrete" => Table::DiscreteInputs,
            "holding" => Table::HoldingRegisters,
            "input" => Table::InputRegisters,
            _ => return Err(unusable()),
        };
        let start = number.trim().parse().map_err(|_| unusable())?;
        if table.holds_bits() && !matches!(mapping.data_type, None | Some(DataType::Bool)) {
            return Err(failure::configuration(format!("{text} is one bit: its data type can only be bool")));
        }
        let quantity = match data_type(table, mapping.data_type) {
            DataType::Int32 | DataType::Uint32 | DataType::Float32 => 2,
            DataType::Int16 | DataType::Uint16 | DataType::Bool => 1,
        };
        let address = Self { table, start, quantity };
        if address.end() > u32::from(u16::MAX) + 1 {
            return Err(failure::configuration(format!("{text} does not fit: the last register is 65535")));
        }
        Ok(address)
    }

    /// First entry after the value.
    pub fn end(self) -> u32 {
        u32::from(self.start) + u32::from(self.quantity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::plant::TagAddress;

    fn mapping(address: &str, data_type: Option<DataType>) -> TagMapping {
        TagMapping { address: TagAddress(address.into()), data_type, scale: None }
    }

    #[test]
    fn addresses_are_counted_from_zero() {
        let address = Address::of(&mapping("holding:0", Some(DataType::Float32))).unwrap();
        assert_eq!(address, Address { table: Table::HoldingRegisters, start: 0, quantity: 2 });
        assert_eq!(Address::of(&mapping("coil:65535", None)).unwrap().table, Table::Coils);
        assert_eq!(Address::of(&mapping("input:7", None)).unwrap().quantity, 1);
    }

    #[test]
    fn unusable_addresses_say_why() {
        for (text, data_type, reason) in [
            ("40001", None, "holding:N"),
            ("register:1", None, "holding:N"),
            ("holding:70000", None, "holding:N"),
            ("holding:-1", None, "holding:N"),
            ("holding:65535", Some(DataType::Int32), "65535"),
            ("coil:1", Some(DataType::Float32), "bool"),
        ] {
            let error = Address::of(&mapping(text, data_type)).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
