//! Finds the values of the built-in patterns in a folded text; one file for each kind of value.

mod context;
pub(super) mod email;
pub(super) mod identifier;
pub(super) mod ip_address;
pub(super) mod phone;
mod words;

use std::ops::Range;

/// A value in a folded text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FoldedMatch {
    /// Byte range of the value in the folded text.
    pub(super) range: Range<usize>,
    /// The value in a normalized spelling: equal values have equal canonical forms.
    pub(super) canonical: String,
}
