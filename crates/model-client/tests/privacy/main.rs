//! Privacy rules: what is found on labelled lines, and what holds for any text.

mod labelled;
mod properties;
