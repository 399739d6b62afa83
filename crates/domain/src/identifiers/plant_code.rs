//! Plant codes of unit, system, equipment and component, as in the designation systems KKS and RDS-PP: `10LAB20AA001`,
//! `10 LAB20 AA001`, `LAB20 AA001`.

use super::{TextKind, scan_while, skip_separator, to_lowercase};

/// The form of a part of a plant code: letters, then digits.
#[derive(Clone, Copy)]
struct PartForm {
    letters: usize,
    digits: usize,
}

/// Maximum number of digits of a unit.
const MAX_UNIT_DIGITS: usize = 2;
/// A system: `LAB20`.
const SYSTEM: PartForm = PartForm { letters: 3, digits: 2 };
/// A piece of equipment: `AA001`.
const EQUIPMENT: PartForm = PartForm { letters: 2, digits: 3 };
/// A component: `KP01`.
const COMPONENT: PartForm = PartForm { letters: 2, digits: 2 };

/// Returns the search terms of the plant code that begins at `start`, and the index after it. A passage is indexed
/// under the code with and without the unit, without the component, and under the system alone. A query searches for
/// the code with and without the unit.
pub(super) fn plant_code(chars: &[char], start: usize, kind: TextKind) -> Option<(Vec<String>, usize)> {
    let unit_end = scan_while(chars, start, MAX_UNIT_DIGITS, |c| c.is_ascii_digit()).unwrap_or(start);
    let (unit, system_start) =
        (to_lowercase(&chars[start..unit_end]), if unit_end > start { skip_separator(chars, unit_end) } else { start });
    let (system, system_end) = part(chars, system_start, SYSTEM)?;
    let equipment = part(chars, skip_separator(chars, system_end), EQUIPMENT);
    if unit.is_empty() && equipment.is_none() {
        return None;
    }
    let (equipment, equipment_end) = equipment.unwrap_or((String::new(), system_end));
    let component =
        if equipment.is_empty() { None } else { part(chars, skip_separator(chars, equipment_end), COMPONENT) };
    let (component, end) = component.unwrap_or((String::new(), equipment_end));
    let text = &chars[start..end];
    // In passages, parts separated by spaces are only a code if they are in upper case: `10 min 20` is prose.
    let is_prose = text.contains(&' ') && text.iter().any(char::is_ascii_lowercase);
    if chars.get(end).is_some_and(|c| c.is_alphanumeric()) || (is_prose && kind == TextKind::Passage) {
        return None;
    }
    let without_unit = format!("{system}{equipment}{component}");
    let mut terms = vec![format!("{unit}{without_unit}"), without_unit];
    if kind == TextKind::Passage {
        terms.extend([format!("{system}{equipment}"), system]);
    }
    terms.dedup();
    Some((terms, end))
}

/// Parses a part with exactly as many letters and digits as `form` states, with or without a separator; returns them in
/// lower case, with the end index. If a space separates them, the letters must be upper case: `AA001 in 20 bar`
/// contains no component.
fn part(chars: &[char], start: usize, form: PartForm) -> Option<(String, usize)> {
    let PartForm { letters, digits } = form;
    let letters_end =
        scan_while(chars, start, letters, |c| c.is_ascii_alphabetic()).filter(|end| end - start == letters)?;
    let digits_start = skip_separator(chars, letters_end);
    if chars.get(letters_end) == Some(&' ') && chars[start..letters_end].iter().any(char::is_ascii_lowercase) {
        return None;
    }
    let end =
        scan_while(chars, digits_start, digits, |c| c.is_ascii_digit()).filter(|end| end - digits_start == digits)?;
    Some((to_lowercase(&chars[start..letters_end]) + &to_lowercase(&chars[digits_start..end]), end))
}
