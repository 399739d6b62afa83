//! Checks that each layer depends only on `domain` and on the crate directly below it, so that the gateway reaches the
//! runtime only through the policy gate. `platform-server` and the tests may depend on all layers, xtask on none.

use super::workspace::Package;

/// Each layer with the layers that it may depend on, bottom to top. `data`, `model-client` and
/// `plant-connectors` depend only on `domain` and build in parallel.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("data", &["domain"]),
    ("model-client", &["domain"]),
    ("plant-connectors", &["domain"]),
    ("tools", &["domain", "model-client"]),
    ("runtime", &["domain", "tools"]),
    ("policy", &["domain", "runtime"]),
    ("gateway", &["domain", "policy"]),
];

/// Adapters of ports, beside the layers: no layer names them.
const ADAPTERS: &[(&str, &[&str])] = &[("plant-connectors", &["domain"])];

/// Packages outside the layers that only tests and examples depend on.
const TEST_SUPPORT: &[(&str, &[&str])] = &[("fakes", &["domain"])];

/// Clients of the server's HTTP API. They share only the vocabulary in `domain` with the server.
const CLIENTS: &[(&str, &[&str])] = &[("platform-cli", &["domain"])];

/// Packages that compose the layers and may depend on all of them.
const COMPOSITION_ROOTS: &[&str] = &["platform-server", "tests"];

/// A message for each dependency that breaks the rule.
pub fn violations(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    if COMPOSITION_ROOTS.contains(&name) {
        return Vec::new();
    }
    let allowed = LAYERS
        .iter()
        .chain(ADAPTERS)
        .chain(TEST_SUPPORT)
        .chain(CLIENTS)
        .find(|(layer, _)| *layer == name)
        .map_or(&[][..], |(_, allowed)| allowed);
    let is_layer = |dependency: &&str| {
        *dependency == "platform-server" || LAYERS.iter().chain(ADAPTERS).any(|(layer, _)| layer == dependency)
    };
    let message = |dependency: &str| match allowed {
        [] => format!("{name} must not depend on {dependency}: it may depend on no layer"),
        allowed => format!("{name} must not depend on {dependency}: it may only depend on {}", allowed.join(" and ")),
    };
    package
        .shipped_dependencies()
        .filter(is_layer)
        .filter(|dependency| !allowed.contains(dependency))
        .map(message)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::workspace::samples::{package, package_with};
    use super::*;

    #[test]
    fn the_current_layers_pass() {
        let packages = [
            package("domain", &["serde"]),
            package("data", &["domain", "sqlx"]),
            package("model-client", &["domain", "reqwest"]),
            package("tools", &["domain", "model-client"]),
            package("plant-connectors", &["domain", "reqwest"]),
            package("runtime", &["domain", "tools"]),
            package("policy", &["domain", "runtime"]),
            package("gateway", &["domain", "policy", "axum"]),
            package("platform-server", &["domain", "data", "model-client", "tools", "runtime", "policy", "gateway"]),
            package("platform-server", &["plant-connectors"]),
            package("platform-cli", &["domain", "reqwest"]),
            package("tests", &["data", "platform-server"]),
            package("xtask", &["clap"]),
        ];
        assert_eq!(violations(&packages), Vec::<String>::new());
    }

    #[test]
    fn a_client_that_goes_around_the_api_is_found() {
        let found = violations(&[package("platform-cli", &["domain", "gateway"])]);
        assert_eq!(found, ["platform-cli must not depend on gateway: it may only depend on domain"]);
    }

    #[test]
    fn an_adapter_names_the_domain_and_is_named_by_no_layer() {
        assert_eq!(violations(&[package("plant-connectors", &["tools"])]).len(), 1);
        assert_eq!(violations(&[package("tools", &["plant-connectors"])]).len(), 1);
    }

    #[test]
    fn a_dependency_that_bypasses_the_gate_is_found() {
        let found = violations(&[package("gateway", &["domain", "policy", "runtime"])]);
        assert_eq!(found, ["gateway must not depend on runtime: it may only depend on domain and policy"]);
    }

    #[test]
    fn an_upward_dependency_is_found() {
        assert_eq!(violations(&[package("domain", &["data"])]).len(), 1);
        assert_eq!(violations(&[package("tools", &["domain", "runtime"])]).len(), 1);
        assert_eq!(violations(&[package("gateway", &["platform-server"])]).len(), 1);
    }

    #[test]
    fn a_new_crate_and_xtask_may_depend_on_no_layer() {
        assert_eq!(violations(&[package("xtask", &["domain"])]).len(), 1);
        assert_eq!(violations(&[package("helpers", &["data"])]).len(), 1);
    }

    #[test]
    fn tests_of_a_layer_may_use_what_they_need_but_build_scripts_may_not() {
        assert!(violations(&[package_with("gateway", "runtime", "dev")]).is_empty());
        assert_eq!(violations(&[package_with("gateway", "runtime", "build")]).len(), 1);
    }
}
