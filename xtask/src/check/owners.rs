//! Checks which packages depend on which external libraries. A library that does I/O may be used only by the packages
//! that own it, so that, for example, the gateway never executes SQL.

use super::workspace::Package;

/// Each library with the packages that may depend on it. The package `tests` may depend on every library.
const OWNERS: &[(&str, &[&str])] = &[
    ("sqlx", &["data"]),
    ("pgvector", &["data"]),
    ("object_store", &["data"]),
    ("axum", &["gateway"]),
    ("redis", &["gateway"]),
    ("reqwest", &["model-client", "policy", "tools", "platform-cli", "plant-connectors"]),
    ("async-opcua", &["plant-connectors"]),
    ("rumqttc", &["plant-connectors"]),
    ("tokio-modbus", &["plant-connectors"]),
    ("reqwest-eventsource", &["model-client", "policy", "tools"]),
    ("eventsource-stream", &["model-client", "policy", "tools", "platform-cli"]),
    ("anyhow", &["platform-server", "xtask"]),
];

const TESTS_PACKAGE: &str = "tests";

/// A message for each dependency on a library that the package does not own.
pub fn violations(packages: &[Package]) -> Vec<String> {
    packages.iter().filter(|package| package.name != TESTS_PACKAGE).flat_map(check_package).collect()
}

fn check_package(package: &Package) -> impl Iterator<Item = String> {
    let name = package.name.as_str();
    let unowned_library =
        move |library: &&str| OWNERS.iter().find(|(owned, owners)| owned == library && !owners.contains(&name));
    package.shipped_dependencies().filter_map(move |library| unowned_library(&library)).map(move |(library, owners)| {
        format!("{name} must not depend on {library}: only these may: {}", owners.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::super::workspace::samples::{package, package_with};
    use super::*;

    #[test]
    fn owners_may_use_what_they_own() {
        let packages = [
            package("data", &["sqlx", "pgvector"]),
            package("gateway", &["axum"]),
            package("policy", &["reqwest"]),
            package("xtask", &["anyhow"]),
            package("tests", &["sqlx", "anyhow", "reqwest", "axum"]),
        ];
        assert_eq!(violations(&packages), Vec::<String>::new());
    }

    #[test]
    fn a_package_that_does_not_own_a_library_is_found() {
        for (library, owners) in OWNERS {
            let found = violations(&[package("domain", &[library])]);
            assert_eq!(found.len(), 1, "{library}");
            assert!(found[0].contains(library) && found[0].contains(owners[0]), "{found:?}");
        }
    }

    #[test]
    fn platform_server_must_not_depend_on_axum() {
        assert_eq!(violations(&[package("platform-server", &["axum", "tokio"])]).len(), 1);
    }

    #[test]
    fn dev_dependencies_are_ignored() {
        assert!(violations(&[package_with("runtime", "anyhow", "dev")]).is_empty());
        assert_eq!(violations(&[package_with("runtime", "anyhow", "build")]).len(), 1);
    }
}
