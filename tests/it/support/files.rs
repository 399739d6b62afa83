//! Files that the tests upload.

use std::path::{Path, PathBuf};

/// A file of the demo plant.
pub fn demo_document(name: &str) -> Vec<u8> {
    read(&demo_dir().join("documents").join(name))
}

/// The directory of the demo plant, with `plant.json`, `questions.json` and `documents/`.
pub fn demo_dir() -> PathBuf {
    repository_root().join("xtask/demo")
}

/// A file from the test data of the document parsers.
pub fn parser_fixture(name: &str) -> Vec<u8> {
    read(&repository_root().join("crates/tools/testdata").join(name))
}

/// The root directory of the repository.
pub fn repository_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the parent of tests/")
}

/// The first block of shell commands after a heading of the README.
pub fn readme_commands(heading: &str) -> String {
    let readme = String::from_utf8(read(&repository_root().join("README.md"))).expect("UTF-8");
    let section = readme.split_once(heading).unwrap_or_else(|| panic!("no {heading}")).1;
    let block = section.split_once("```sh\n").expect("a block of commands").1;
    block.split_once("```").expect("the end of the block").0.to_owned()
}

/// Reads a file.
pub fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A Markdown note about a subject. Tests that share an app use different subjects, because identical files are stored
/// only once.
pub fn note(subject: &str) -> Vec<u8> {
    format!("# Note on {subject}\n\nThe strainer of {subject} is cleaned every 14 days by the morning shift.\n")
        .into_bytes()
}
