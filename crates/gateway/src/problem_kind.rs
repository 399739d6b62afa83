//! The kinds of problems (RFC 9457): address, title and default detail of each.

use domain::error::ErrorKind;

/// All kinds, for the pages under `/problems/`.
pub(crate) const KINDS: [ErrorKind; 11] = [
    ErrorKind::Malformed,
    ErrorKind::InvalidField,
    ErrorKind::Unauthenticated,
    ErrorKind::Forbidden,
    ErrorKind::NotFound,
    ErrorKind::Conflict,
    ErrorKind::TooLarge,
    ErrorKind::UnsupportedType,
    ErrorKind::RateLimited,
    ErrorKind::Unavailable,
    ErrorKind::Internal,
];

/// The last part of a type's address.
pub(crate) fn slug(kind: ErrorKind) -> String {
    kind.code().replace('_', "-")
}

/// A type in a few words.
pub(crate) const fn title(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Malformed => "The request cannot be understood",
        ErrorKind::InvalidField => "A field is not allowed",
        ErrorKind::Unauthenticated => "Not signed in",
        ErrorKind::Forbidden => "Not allowed",
        ErrorKind::NotFound => "Not found",
        ErrorKind::Conflict => "Not possible at present",
        ErrorKind::TooLarge => "Too large",
        ErrorKind::UnsupportedType => "The type of content is not supported",
        ErrorKind::RateLimited => "Too many requests",
        ErrorKind::Unavailable => "Not available at the moment",
        ErrorKind::Internal => "A defect of the server",
    }
}

/// What to say of a kind where there is nothing more exact.
pub(crate) const fn sentence(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Malformed => "The request cannot be read as what it claims to be.",
        ErrorKind::InvalidField => "A field of the request is understood and not allowed; see `errors`.",
        ErrorKind::Unauthenticated => "A valid bearer token is needed.",
        ErrorKind::Forbidden => "Your role does not allow this.",
        ErrorKind::NotFound => "There is nothing here under that address.",
        ErrorKind::Conflict => "The request clashes with the present state.",
        ErrorKind::TooLarge => "The request is larger than allowed.",
        ErrorKind::UnsupportedType => "The type of content is not one that this address takes.",
        ErrorKind::RateLimited => {
            "You have made more requests than your limit allows; the Retry-After header says when to come back."
        }
        ErrorKind::Unavailable => "A part that this needs is down; the Retry-After header says when to try again.",
        ErrorKind::Internal => "The server failed; its log has the reason under the request id.",
    }
}
