//! Character widths of the standard 14 fonts, which a file may use without embedding them or listing their widths. From
//! Adobe's published font metrics, in thousandths of the font size.

/// Widths of the characters from space to `~`, in thousandths of the font size.
type Widths = [u16; 95];

#[rustfmt::skip]
const HELVETICA: Widths = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556,
    833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500,
    556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500,
    334, 260, 334, 584,
];

#[rustfmt::skip]
const HELVETICA_BOLD: Widths = [
    278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 333, 333, 584, 584, 584, 611, 975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556, 333, 556, 611, 556, 611,
    556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389,
    280, 389, 584,
];

#[rustfmt::skip]
const TIMES_ROMAN: Widths = [
    250, 333, 408, 500, 500, 833, 778, 180, 333, 333, 500, 564, 250, 333, 250, 278, 500, 500, 500, 500, 500, 500, 500,
    500, 500, 500, 278, 278, 564, 564, 564, 444, 921, 722, 667, 667, 722, 611, 556, 722, 722, 333, 389, 722, 611, 889,
    722, 722, 556, 722, 667, 556, 611, 722, 722, 944, 722, 722, 611, 333, 278, 333, 469, 500, 333, 444, 500, 444, 500,
    444, 333, 500, 500, 278, 278, 500, 278, 778, 500, 500, 500, 500, 333, 389, 278, 500, 500, 722, 500, 500, 444, 480,
    200, 480, 541,
];

#[rustfmt::skip]
const TIMES_BOLD: Widths = [
    250, 333, 555, 500, 500, 1000, 833, 278, 333, 333, 500, 570, 250, 333, 250, 278, 500, 500, 500, 500, 500, 500,
    500, 500, 500, 500, 333, 333, 570, 570, 570, 500, 930, 722, 667, 722, 722, 667, 611, 778, 778, 389, 500, 778, 667,
    944, 722, 778, 611, 778, 722, 556, 667, 722, 722, 1000, 722, 722, 667, 333, 278, 333, 581, 500, 333, 500, 556,
    444, 556, 444, 333, 500, 556, 278, 333, 556, 278, 833, 556, 500, 556, 556, 444, 389, 333, 556, 500, 722, 500, 500,
    444, 394, 220, 394, 520,
];

#[rustfmt::skip]
const TIMES_ITALIC: Widths = [
    250, 333, 420, 500, 500, 833, 778, 214, 333, 333, 500, 675, 250, 333, 250, 278, 500, 500, 500, 500, 500, 500, 500,
    500, 500, 500, 333, 333, 675, 675, 675, 500, 920, 611, 611, 667, 722, 611, 611, 722, 722, 333, 444, 667, 556, 833,
    667, 722, 611, 722, 611, 500, 556, 722, 611, 833, 611, 556, 556, 389, 278, 389, 422, 500, 333, 500, 500, 444, 500,
    444, 278, 500, 500, 278, 278, 444, 278, 722, 500, 500, 500, 500, 389, 389, 278, 500, 444, 667, 444, 444, 389, 400,
    275, 400, 541,
];

/// The width of a character in the named font, as a fraction of the font size. Other fonts are mapped to the most
/// similar standard font, which is accurate enough to detect spaces between words.
pub(super) fn width(font_name: &str, c: char) -> f32 {
    let lower = font_name.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| lower.contains(part));
    if has(&["courier", "mono", "consol", "fixed", "typewriter"]) {
        return 0.6;
    }
    let bold = has(&["bold", "black", "heavy"]);
    let widths =
        if has(&["times", "serif", "roman", "georgia", "garamond", "cambria", "bookman", "palatino", "century"])
            && !has(&["sans"])
        {
            match (bold, has(&["italic", "oblique"])) {
                (true, _) => &TIMES_BOLD,
                (false, true) => &TIMES_ITALIC,
                (false, false) => &TIMES_ROMAN,
            }
        } else if bold {
            &HELVETICA_BOLD
        } else {
            &HELVETICA
        };
    let base = base_letter(c);
    let index = (base as usize).checked_sub(32);
    match index.and_then(|index| widths.get(index)) {
        Some(width) => f32::from(*width) / 1000.0,
        None if matches!(c, '\u{2014}' | '\u{2026}' | '\u{2122}' | '\u{2030}') => 1.0,
        None if matches!(c, '\u{2018}'..='\u{201A}' | '\u{2022}') => 0.3,
        None => 0.556,
    }
}

/// A Latin-1 letter without its accent; the accent does not change the width.
fn base_letter(c: char) -> char {
    const UPPER_HALF: &[u8; 64] = b"AAAAAAMCEEEEIIIIDNOOOOO+OUUUUYPbaaaaaamceeeeiiiidnooooo+ouuuuypy";
    match c {
        '\u{C0}'..='\u{FF}' => char::from(UPPER_HALF[c as usize - 0xC0]),
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_follow_the_metrics() {
        assert_eq!(width("Helvetica", 'A'), 0.667);
        assert_eq!(width("Times-Roman", 'ä'), 0.444);
        assert_eq!(width("ABCDEF+CourierNew", 'i'), 0.6);
        assert_eq!(width("Arial,Bold", 'W'), 0.944);
    }
}
