//! Reads the W3C trace context of a request: the headers `traceparent` and `tracestate`.

use axum::http::HeaderMap;
use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, global};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// Length of a `traceparent` of version 00, in bytes.
const TRACEPARENT_LEN: usize = 55;
/// Maximum length of a `tracestate` that is passed on, in bytes. The specification asks for at least 512.
const MAX_TRACESTATE_LEN: usize = 512;

/// Returns the span that the client names as the parent of its request; `None` if it names none, or the header is not
/// valid. A `tracestate` that is too long or not valid is dropped; the trace continues without it.
pub(crate) fn remote_span(headers: &HeaderMap) -> Option<SpanContext> {
    let traceparent = only_value(headers, TRACEPARENT).filter(|value| is_traceparent(value))?;
    let carrier = TraceHeaders { traceparent, tracestate: tracestate(headers) };
    let context =
        global::get_text_map_propagator(|propagator| propagator.extract_with_context(&Context::new(), &carrier));
    let remote_span = context.span().span_context().clone();
    remote_span.is_valid().then_some(remote_span)
}

/// The headers in the form that the propagator reads.
struct TraceHeaders<'a> {
    traceparent: &'a str,
    tracestate: String,
}

impl Extractor for TraceHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => Some(self.traceparent),
            TRACESTATE => Some(self.tracestate.as_str()).filter(|value| !value.is_empty()),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

/// The header's value; `None` if there are several.
fn only_value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The values of all `tracestate` headers as one list; empty if it is too long or not ASCII.
fn tracestate(headers: &HeaderMap) -> String {
    let values: Option<Vec<&str>> = headers.get_all(TRACESTATE).iter().map(|value| value.to_str().ok()).collect();
    values.map(|values| values.join(",")).filter(|list| list.len() <= MAX_TRACESTATE_LEN).unwrap_or_default()
}

/// Whether `value` is a `traceparent` as the specification defines it. The propagator alone would also accept ids of
/// other lengths.
fn is_traceparent(value: &str) -> bool {
    let bytes = value.as_bytes();
    let Some(known_part) = bytes.get(..TRACEPARENT_LEN) else { return false };
    let is_well_formed = known_part.iter().enumerate().all(|(index, &byte)| match index {
        2 | 35 | 52 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    // Later versions may append fields; version ff is invalid.
    let is_length_valid = match &bytes[..2] {
        b"00" => bytes.len() == TRACEPARENT_LEN,
        b"ff" => false,
        _ => bytes.get(TRACEPARENT_LEN).is_none_or(|byte| *byte == b'-'),
    };
    is_well_formed && is_length_valid
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(values: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in values {
            headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    #[test]
    fn a_traceparent_has_fields_of_fixed_length() {
        for valid in [VALID, &VALID.replace("-01", "-00"), &format!("cc{}-what-comes-later", &VALID[2..])] {
            assert!(is_traceparent(valid), "{valid}");
        }
        for invalid in [
            "",
            "00",
            "00-1-2-01",
            &VALID.to_uppercase(),
            &VALID.replace("4bf92f", "4bf92g"),
            &VALID.replace("-00f0", "_00f0"),
            &VALID[..VALID.len() - 1],
            &format!("{VALID}-more"),
            &format!("{VALID}0"),
            &format!("ff{}", &VALID[2..]),
            &format!("cc{}0", &VALID[2..]),
            &format!(" {VALID}"),
            &VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", "4bf92f3577b34da6a3ce929d0e0e473ü"),
        ] {
            assert!(!is_traceparent(invalid), "{invalid}");
        }
    }

    #[test]
    fn two_traceparents_are_none() {
        assert_eq!(only_value(&headers(&[(TRACEPARENT, VALID)]), TRACEPARENT), Some(VALID));
        assert_eq!(only_value(&headers(&[(TRACEPARENT, VALID), (TRACEPARENT, VALID)]), TRACEPARENT), None);
        assert_eq!(only_value(&headers(&[]), TRACEPARENT), None);
    }

    #[test]
    fn the_list_of_a_tracestate_may_be_spread_over_headers_and_is_limited() {
        assert_eq!(tracestate(&headers(&[(TRACESTATE, "a=1,b=2"), (TRACESTATE, "c=3")])), "a=1,b=2,c=3");
        assert_eq!(tracestate(&headers(&[(TRACESTATE, &format!("a={}", "x".repeat(MAX_TRACESTATE_LEN)))])), "");
    }
}
