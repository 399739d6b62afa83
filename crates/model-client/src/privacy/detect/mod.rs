//! One file for each kind of value: where it stands in a folded text.

mod context;
pub(super) mod email;
pub(super) mod identifier;
pub(super) mod ip_address;
pub(super) mod phone;
mod words;

use std::ops::Range;

/// A value in a folded text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hit {
    /// Its bytes in the folded text.
    pub(super) range: Range<usize>,
    /// The value without differences of spelling: equal values have equal canonical forms.
    pub(super) canonical: String,
}
