//! The built-in patterns, in two lists: what identifies a person, and what identifies a device of the plant.

/// A built-in pattern.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum BuiltIn {
    /// Mail addresses, also obfuscated ones.
    Email,
    /// Addresses of IPv4 and IPv6.
    IpAddress,
    /// Phone numbers, and short internal ones after a word such as `ext.`.
    Phone,
    /// Serial numbers of equipment.
    EquipmentSerial,
    /// Numbers by which a plant identifies its people.
    EmployeeId,
}

impl BuiltIn {
    /// Personal data.
    pub const PERSONAL: &'static [Self] = &[Self::EmployeeId, Self::Email, Self::Phone];
    /// Identifiers of operational technology.
    pub const OPERATIONAL: &'static [Self] = &[Self::IpAddress, Self::EquipmentSerial];

    /// The built-in pattern called `name` in the settings.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::PERSONAL.iter().chain(Self::OPERATIONAL).copied().find(|pattern| pattern.name() == name)
    }

    /// The name in the settings, warnings and the audit log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmployeeId => "employee_id",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::IpAddress => "ip_address",
            Self::EquipmentSerial => "equipment_serial",
        }
    }
}
