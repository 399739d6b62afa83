//! Checks that libraries have the same features in a build with tests and in one without. Otherwise cargo compiles
//! them, and everything above them, twice: for the tests, and for the programs that the tests run.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use crate::proc::{self, Interrupt};
use crate::project;

/// Arguments of `cargo tree` that print each package with its features, without the workspace's paths.
const TREE: &[&str] = &["tree", "--workspace", "--all-features", "--prefix", "none", "--format", "{p} [{f}]"];

/// A message for each package whose features depend on whether tests are built.
///
/// # Errors
/// If cargo fails.
pub fn violations(interrupt: &Interrupt) -> Result<Vec<String>> {
    let tree = |edges: &str| {
        let mut cargo = project::cargo()?;
        proc::capture(cargo.args(TREE).args(["--edges", edges]), interrupt, "cargo tree")
    };
    Ok(differences(&tree("normal,build")?, &tree("normal,build,dev")?))
}

fn differences(without_tests: &str, with_tests: &str) -> Vec<String> {
    let with_tests = features_by_package(with_tests);
    let mut found = Vec::new();
    for (package, features) in features_by_package(without_tests) {
        let in_tests = with_tests.get(package);
        if in_tests != Some(&features) {
            let in_tests = in_tests.cloned().unwrap_or_default();
            found.push(format!(
                "{package} has the features {features:?} without tests, and {in_tests:?} with them; add what the tests \
                 use to [dependencies] of tests/Cargo.toml"
            ));
        }
    }
    found
}

/// The features of each package. A package that is used both by the programs and by procedural macros may be compiled
/// with two selections.
fn features_by_package(tree: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    let mut packages: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (package, features) in lines.filter_map(|line| line.split_once(" [")) {
        packages.entry(package).or_default().insert(features.trim_end_matches(']'));
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITHOUT: &str = "data v0.1.0 (/w/crates/data) []\ntokio v1.0.0 [rt,sync]\n\ntokio v1.0.0 [rt,sync] (*)\n";

    #[test]
    fn a_library_with_more_features_in_tests_is_found() {
        let found = differences(WITHOUT, "data v0.1.0 (/w/crates/data) []\ntokio v1.0.0 [rt,sync,test-util]\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("tokio v1.0.0 has the features"), "{found:?}");
    }

    #[test]
    fn a_second_selection_of_features_in_tests_is_found() {
        let with_tests = format!("{WITHOUT}tokio v1.0.0 [rt,sync,test-util]\n");
        assert_eq!(differences(WITHOUT, &with_tests).len(), 1);
    }

    #[test]
    fn libraries_of_the_tests_alone_are_none_of_its_business() {
        let with_tests = format!("{WITHOUT}wiremock v0.6.5 []\n");
        assert_eq!(differences(WITHOUT, &with_tests), Vec::<String>::new());
    }
}
