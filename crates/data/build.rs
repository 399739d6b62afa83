//! Makes cargo rebuild the crate when a migration is added. On its own, cargo only notices changes of the files that
//! the `migrate!` macro has already embedded.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
