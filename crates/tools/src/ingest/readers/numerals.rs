//! Formats numbers as Roman and alphabetic numerals.

/// Formats a number as a lower-case Roman numeral; numbers above 4999 are formatted as 4999.
pub(super) fn roman(number: usize) -> String {
    const DIGITS: [(usize, &str); 13] = [
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
        (4, "iv"),
        (1, "i"),
    ];
    let mut rest = number.min(4_999);
    let mut out = String::new();
    for (value, digits) in DIGITS {
        while rest >= value {
            out.push_str(digits);
            rest -= value;
        }
    }
    out
}

/// Formats a number, from 1, with letters as PDF page labels and Word lists do: a to z, then aa, bb to zz, and so on.
pub(super) fn letters(number: usize) -> String {
    let index = number.max(1) - 1;
    let letter = char::from(b'a' + (index % 26) as u8);
    std::iter::repeat_n(letter, (index / 26 + 1).min(50)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted_as_roman_numerals_and_letters() {
        assert_eq!(roman(14), "xiv");
        assert_eq!(letters(1), "a");
        assert_eq!(letters(28), "bb");
    }
}
