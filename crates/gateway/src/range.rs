//! Parses the `Range` header (RFC 9110, section 14.2).

use domain::ports::ByteRange;

/// The part of a file that a `Range` header requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RequestedRange {
    /// The whole file, since the header is invalid or can be ignored (another unit, or several ranges).
    Whole,
    /// One range, clipped to the size of the file.
    Part(ByteRange),
    /// The range contains no byte of the file; respond with 416.
    Unsatisfiable,
}

/// Parses the header for a file of `size` bytes.
pub(crate) fn parse_range(header: &str, size: u64) -> RequestedRange {
    let Some((first, last)) = header.trim().strip_prefix("bytes=").and_then(|spec| spec.split_once('-')) else {
        return RequestedRange::Whole;
    };
    let parse_number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (parse_number(first.trim()), parse_number(last.trim())) {
        (Some(start), Some(end)) if start > end => RequestedRange::Whole,
        (Some(start), end) if end.is_some() || last.trim().is_empty() => {
            clip_range(start, end.unwrap_or(u64::MAX), size)
        }
        (None, Some(0)) if first.trim().is_empty() => RequestedRange::Unsatisfiable,
        (None, Some(suffix)) if first.trim().is_empty() => clip_range(size.saturating_sub(suffix), u64::MAX, size),
        _ => RequestedRange::Whole,
    }
}

fn clip_range(start: u64, end: u64, size: u64) -> RequestedRange {
    if start >= size {
        return RequestedRange::Unsatisfiable;
    }
    RequestedRange::Part(ByteRange { start, len: end.min(size - 1) - start + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_to_the_size_of_the_file() {
        let part = |start, len| RequestedRange::Part(ByteRange { start, len });
        for (header, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-4", part(2, 3)),
            ("bytes=2-", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-99", part(0, 10)),
            ("bytes=5-99999999999999999999999", part(5, 5)),
            ("bytes=10-", RequestedRange::Unsatisfiable),
            ("bytes=-0", RequestedRange::Unsatisfiable),
            ("bytes=4-2", RequestedRange::Whole),
            ("bytes=0-1,3-4", RequestedRange::Whole),
            ("bytes=a-", RequestedRange::Whole),
            ("bytes=-", RequestedRange::Whole),
            ("lines=0-1", RequestedRange::Whole),
            ("", RequestedRange::Whole),
        ] {
            assert_eq!(parse_range(header, 10), expected, "{header}");
        }
        assert_eq!(parse_range("bytes=0-", 0), RequestedRange::Unsatisfiable);
    }
}
