//! Plant codes of unit, system, equipment and component, as in the designation systems KKS and RDS-PP: `10LAB20AA001`,
//! `10 LAB20 AA001`, `LAB20 AA001`.

use super::{TextKind, scan_while, skip_separator, to_lowercase};

/// Returns the search terms of the plant code that begins at `start`, and the index after it. A passage is indexed
/// under the code with and without the unit, without the component, and under the system alone. A query searches for
/// the code with and without the unit.
pub(super) fn plant_code(chars: &[char], start: usize, kind: TextKind) -> Option<(Vec<String>, usize)> {
    let unit_end = scan_while(chars, start, 2, |c| c.is_ascii_digit()).unwrap_or(start);
    let (unit, system_start) =
        (to_lowercase(&chars[start..unit_end]), if unit_end > start { skip_separator(chars, unit_end) } else { start });
    let (system, system_end) = letters_and_digits(chars, system_start, 3, 2)?;
    let equipment = letters_and_digits(chars, skip_separator(chars, system_end), 2, 3);
    if unit.is_empty() && equipment.is_none() {
        return None;
    }
    let (equipment, equipment_end) = equipment.unwrap_or((String::new(), system_end));
    let component =
        if equipment.is_empty() { None } else { letters_and_digits(chars, skip_separator(chars, equipment_end), 2, 2) };
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

/// Parses exactly `letters` letters and exactly `digits` digits, with or without a separator; returns them in lower
/// case, with the end index. If a space separates them, the letters must be upper case: `AA001 in 20 bar` contains no
/// component.
fn letters_and_digits(chars: &[char], start: usize, letters: usize, digits: usize) -> Option<(String, usize)> {
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
