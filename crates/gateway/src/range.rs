//! Byte ranges (RFC 9110, section 14): one range of a document's bytes.

use domain::ports::ByteRange;

/// What a `Range` header asks of a file of a known size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    /// The whole file: there is no header, or one that need not be honoured (another unit, several ranges, garbage).
    Whole,
    /// A part.
    Part(ByteRange),
    /// A part that the file does not have.
    Unsatisfiable,
}

/// Reads the header's value.
pub(crate) fn wanted(header: &str, size: u64) -> Wanted {
    let Some((first, last)) = header.trim().strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first.trim()), number(last.trim())) {
        (Some(start), Some(end)) if start > end => Wanted::Whole,
        (Some(start), end) if end.is_some() || last.trim().is_empty() => part(start, end.unwrap_or(u64::MAX), size),
        (None, Some(0)) if first.trim().is_empty() => Wanted::Unsatisfiable,
        (None, Some(suffix)) if first.trim().is_empty() => part(size.saturating_sub(suffix), u64::MAX, size),
        _ => Wanted::Whole,
    }
}

fn part(start: u64, end: u64, size: u64) -> Wanted {
    if start >= size {
        return Wanted::Unsatisfiable;
    }
    Wanted::Part(ByteRange { start, len: end.min(size - 1) - start + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_and_clamped_to_the_file() {
        let part = |start, len| Wanted::Part(ByteRange { start, len });
        for (header, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-4", part(2, 3)),
            ("bytes=2-", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-99", part(0, 10)),
            ("bytes=5-99999999999999999999999", part(5, 5)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Unsatisfiable);
    }
}
