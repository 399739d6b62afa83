//! The layer rule: a layer names only `domain` and the crate directly beneath it, so that the gateway reaches the
//! runtime only through the policy gate. `platform-server` and the tests name them all; xtask names none.

use super::workspace::Package;

/// Each layer and what of the other layers it may name. Order: bottom to top. `data` and `model-client` both stand on
/// `domain` alone and build in parallel.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("data", &["domain"]),
    ("model-client", &["domain"]),
    ("tools", &["domain", "model-client"]),
    ("runtime", &["domain", "tools"]),
    ("policy", &["domain", "runtime"]),
    ("gateway", &["domain", "policy"]),
];

/// Packages beside the layers that only tests and examples depend on.
const SUPPORT: &[(&str, &[&str])] = &[("fakes", &["domain"])];

/// Packages that put the layers together.
const COMPOSERS: &[&str] = &["platform-server", "tests"];

/// The edges that break the rule, one sentence each.
pub fn violations(packages: &[Package]) -> Vec<String> {
    packages.iter().flat_map(of_package).collect()
}

fn of_package(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    if COMPOSERS.contains(&name) {
        return Vec::new();
    }
    let allowed =
        LAYERS.iter().chain(SUPPORT).find(|(layer, _)| *layer == name).map_or(&[][..], |(_, allowed)| allowed);
    let inner =
        |dependency: &&str| *dependency == "platform-server" || LAYERS.iter().any(|(layer, _)| layer == dependency);
    let complain = |dependency: &str| match allowed {
        [] => format!("{name} must not depend on {dependency}: it names no layer at all"),
        allowed => format!("{name} must not depend on {dependency}: it may name {}", allowed.join(" and ")),
    };
    package.shipped().filter(inner).filter(|dependency| !allowed.contains(dependency)).map(complain).collect()
}

#[cfg(test)]
mod tests {
    use super::super::workspace::samples::{package, package_with};
    use super::*;

    #[test]
    fn the_house_as_it_is_built_passes() {
        let house = [
            package("domain", &["serde"]),
            package("data", &["domain", "sqlx"]),
            package("model-client", &["domain", "reqwest"]),
            package("tools", &["domain", "model-client"]),
            package("runtime", &["domain", "tools"]),
            package("policy", &["domain", "runtime"]),
            package("gateway", &["domain", "policy", "axum"]),
            package("platform-server", &["domain", "data", "model-client", "tools", "runtime", "policy", "gateway"]),
            package("tests", &["data", "platform-server"]),
            package("xtask", &["clap"]),
        ];
        assert_eq!(violations(&house), Vec::<String>::new());
    }

    #[test]
    fn reaching_past_the_gate_is_seen() {
        let found = violations(&[package("gateway", &["domain", "policy", "runtime"])]);
        assert_eq!(found, ["gateway must not depend on runtime: it may name domain and policy"]);
    }

    #[test]
    fn reaching_upwards_is_seen() {
        assert_eq!(violations(&[package("domain", &["data"])]).len(), 1);
        assert_eq!(violations(&[package("tools", &["domain", "runtime"])]).len(), 1);
        assert_eq!(violations(&[package("gateway", &["platform-server"])]).len(), 1);
    }

    #[test]
    fn a_new_crate_and_xtask_name_no_layer() {
        assert_eq!(violations(&[package("xtask", &["domain"])]).len(), 1);
        assert_eq!(violations(&[package("helpers", &["data"])]).len(), 1);
    }

    #[test]
    fn tests_of_a_layer_may_use_what_they_need_but_build_scripts_may_not() {
        assert!(violations(&[package_with("gateway", "runtime", "dev")]).is_empty());
        assert_eq!(violations(&[package_with("gateway", "runtime", "build")]).len(), 1);
    }
}
