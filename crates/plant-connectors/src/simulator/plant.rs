//! The tags of the simulated plant: those that the demo's documents mention, with the limits stated there.

use domain::command::NewTag;
use domain::plant::{TagAddress, TagLimits, TagMapping};
use domain::text::ShortText;

/// Behaviour of a simulated tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Behaviour {
    /// Good values, with an occasional uncertain or bad one in its history.
    Sound,
    /// Its source still holds the value of two hours ago.
    Stuck,
    /// Its sensor is broken: bad, without a value.
    Broken,
    /// In calibration: every value is uncertain.
    InCalibration,
}

/// A simulated tag.
#[derive(Clone, Copy, Debug)]
pub(super) struct SimulatedTag {
    pub(super) name: &'static str,
    unit: &'static str,
    description: &'static str,
    equipment: &'static str,
    /// The mean of its values, and their amplitude.
    pub(super) mean: f64,
    pub(super) amplitude: f64,
    /// Normal range, low and high.
    normal: [Option<f64>; 2],
    /// Low and high alarm.
    alarm: [Option<f64>; 2],
    pub(super) behaviour: Behaviour,
}

const PUMP_A: &str = "Riverside/Area 100/P-101A";
const PUMP_B: &str = "Riverside/Area 100/P-101B";
const BOILER: &str = "Riverside/Area 200/B-201";

/// A steady tag within its limits.
const fn tag(
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    equipment: &'static str,
    values: [f64; 2],
) -> SimulatedTag {
    let [mean, amplitude] = values;
    let (normal, alarm, behaviour) = ([None, None], [None, None], Behaviour::Sound);
    SimulatedTag { name, unit, description, equipment, mean, amplitude, normal, alarm, behaviour }
}

impl SimulatedTag {
    const fn normal(self, low: f64, high: f64) -> Self {
        Self { normal: [Some(low), Some(high)], ..self }
    }

    const fn alarm(self, low: Option<f64>, high: Option<f64>) -> Self {
        Self { alarm: [low, high], ..self }
    }

    const fn behaves(self, behaviour: Behaviour) -> Self {
        Self { behaviour, ..self }
    }

    fn limits(&self) -> TagLimits {
        let ([normal_low, normal_high], [alarm_low, alarm_high]) = (self.normal, self.alarm);
        TagLimits { normal_low, normal_high, alarm_low, alarm_high }
    }
}

/// All tags. `VT-1023A` is above its normal range, `LIT-3002` is stuck, `TT-3015B` is broken, `AT-2071` is in
/// calibration.
pub(super) const TAGS: [SimulatedTag; 18] = [
    tag("PIT-1001", "bar g", "Pressure in the common discharge header", "Riverside/Area 100/P-101", [20.2, 0.3])
        .normal(19.5, 20.8)
        .alarm(Some(17.5), Some(25.0)),
    tag("TI-1002", "°C", "Suction temperature of the feedwater pumps", "Riverside/Area 100/P-101", [104.5, 0.8])
        .normal(103.0, 106.0)
        .alarm(None, Some(115.0)),
    tag("LT-1004", "%", "Level in the deaerator V-101", "Riverside/Area 100/V-101", [64.0, 5.0])
        .normal(55.0, 75.0)
        .alarm(Some(35.0), None),
    tag("PDI-1008A", "bar", "Pressure difference over the suction strainer", PUMP_A, [0.09, 0.02])
        .normal(0.05, 0.25)
        .alarm(None, Some(0.4)),
    tag("FIT-1010A", "m³/h", "Flow through the pump", PUMP_A, [21.0, 3.0]).normal(8.0, 28.0).alarm(Some(7.0), None),
    tag("FIT-1010B", "m³/h", "Flow through the standby pump", PUMP_B, [0.0, 0.0]).alarm(Some(7.0), None),
    tag("TE-1021A", "°C", "Temperature of the drive-end bearing", PUMP_A, [62.0, 3.0])
        .normal(55.0, 70.0)
        .alarm(None, Some(85.0)),
    tag("TE-1022A", "°C", "Temperature of the non-drive-end bearing", PUMP_A, [64.0, 3.0])
        .normal(55.0, 72.0)
        .alarm(None, Some(85.0)),
    tag("VT-1023A", "mm/s", "Vibration velocity at the non-drive end", PUMP_A, [3.4, 0.3])
        .normal(1.5, 2.5)
        .alarm(None, Some(4.5)),
    tag("II-1024A", "A", "Motor current", PUMP_A, [40.0, 1.2]).normal(38.0, 42.0).alarm(None, Some(52.0)),
    tag("LT-2005A", "%", "Level in the steam drum, channel A", BOILER, [50.0, 4.0]).normal(40.0, 60.0),
    tag("PIT-2008", "bar g", "Pressure in the steam drum", BOILER, [13.9, 0.2]).alarm(None, Some(14.8)),
    tag("PIT-2014", "mbar", "Gas pressure before the burner", BOILER, [180.0, 6.0]).normal(160.0, 200.0),
    tag("AT-2071", "µS/cm", "Conductivity of the returned condensate", "Riverside/Area 200", [12.0, 2.0])
        .alarm(None, Some(30.0))
        .behaves(Behaviour::InCalibration),
    tag("LIT-3002", "mbar", "Level in V-301 by differential pressure", "Riverside/Area 300/V-301", [120.0, 15.0])
        .behaves(Behaviour::Stuck),
    tag("TT-3015B", "°C", "Reactor temperature, channel B", "Riverside/Area 300/R-301", [120.0, 1.0])
        .normal(118.0, 124.0)
        .behaves(Behaviour::Broken),
    tag("PIT-4101", "bar g", "Discharge pressure of the screw compressor", "Riverside/Area 400/C-410", [7.2, 0.2])
        .normal(6.8, 7.6),
    tag("PDI-4102", "mbar", "Pressure difference over the intake filter", "Riverside/Area 400/C-410", [28.0, 3.0])
        .alarm(None, Some(45.0)),
];

/// The simulated tag at an address, which is its name.
pub(super) fn find(address: &TagAddress) -> Option<&'static SimulatedTag> {
    TAGS.iter().find(|tag| tag.name.eq_ignore_ascii_case(&address.0))
}

/// The catalogue of the simulated plant.
#[must_use]
pub fn simulated_tags() -> Vec<NewTag> {
    let new_tag = |tag: &SimulatedTag| {
        let name = ShortText::parse(tag.name).ok()?;
        Some(NewTag {
            name,
            mapping: TagMapping { address: TagAddress(tag.name.to_owned()), data_type: None, scale: None },
            unit: Some(tag.unit.to_owned()),
            description: Some(tag.description.to_owned()),
            equipment: Some(tag.equipment.to_owned()),
            limits: tag.limits(),
        })
    };
    TAGS.iter().filter_map(new_tag).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_tags_but_one_stay_within_their_normal_range() {
        for tag in TAGS.iter().filter(|tag| tag.name != "VT-1023A") {
            if let [Some(low), Some(high)] = tag.normal {
                assert!(low <= tag.mean - tag.amplitude && tag.mean + tag.amplitude <= high, "{}", tag.name);
            }
        }
        let vibration = find(&TagAddress("vt-1023a".to_owned())).expect("a tag");
        assert!(vibration.mean - vibration.amplitude > 2.5 && vibration.mean + vibration.amplitude < 4.5);
        assert_eq!(simulated_tags().len(), TAGS.len());
    }
}
