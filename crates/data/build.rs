//! Rebuilds when a migration is added: the macro that embeds them only notices changes of files it knows.

fn main() {
    println!("cargo:rerun-if-changed=../../migrations");
}
