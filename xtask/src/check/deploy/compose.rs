//! Checks `deploy/compose.yaml`: everything that it refers to exists, only nginx publishes ports, and every service has
//! the required limits and security options.

use anyhow::{Context, Result};
use serde_norway::Value;

/// The plant process, and the network that only it is in: it leads to the plant systems.
const PLANT: &str = "plant";

/// Maximum nesting depth of YAML merge keys (`<<`).
const MERGE_LEVELS: usize = 4;

/// Violations in the text of a Compose file.
///
/// # Errors
/// If it is not YAML.
pub fn violations(text: &str) -> Result<Vec<String>> {
    let mut file: Value = serde_norway::from_str(text)?;
    // A merged mapping may contain merge keys as well.
    for _level in 0..MERGE_LEVELS {
        file.apply_merge()?;
    }
    let services = file.get("services").and_then(Value::as_mapping).context("compose.yaml has no services")?;
    let mut violations = Vec::new();
    for (name, service) in services {
        let name = name.as_str().unwrap_or_default();
        let mut report = |text: String| violations.push(format!("compose.yaml: {name} {text}"));
        if service.get("ports").is_some() && name != "nginx" {
            report("publishes ports; only nginx may".to_owned());
        }
        if name != PLANT && strings(service.get("networks")).iter().any(|network| network == PLANT) {
            report("is in the network of the plant systems; only the plant process may be".to_owned());
        }
        for (section, used) in [
            ("networks", strings(service.get("networks"))),
            ("secrets", strings(service.get("secrets"))),
            ("volumes", named_volumes(service)),
            ("services", keys(service.get("depends_on"))),
        ] {
            for missing in used.iter().filter(|used| file.get(section).and_then(|all| all.get(used.as_str())).is_none())
            {
                report(format!("names {missing}, which is not in {section}"));
            }
        }
        for required in ["profiles", "networks", "cap_drop", "security_opt", "logging"] {
            if service.get(required).is_none() {
                report(format!("lacks {required}"));
            }
        }
        if service["deploy"]["resources"]["limits"]["memory"].is_null() {
            report("has no memory limit".to_owned());
        }
        if !service["image"].as_str().is_some_and(is_pinned) {
            report("has an image without a version".to_owned());
        }
        for secret in secret_files(service).iter().filter(|used| !strings(service.get("secrets")).contains(used)) {
            report(format!("reads /run/secrets/{secret}, but does not list this secret"));
        }
    }
    for (name, network) in file.get("networks").and_then(Value::as_mapping).into_iter().flatten() {
        let leads_out = name.as_str().is_some_and(|name| ["edge", PLANT].contains(&name));
        if !leads_out && network["internal"].as_bool() != Some(true) {
            violations.push(format!("compose.yaml: the network {} is not internal", name.as_str().unwrap_or_default()));
        }
    }
    Ok(violations)
}

/// Whether an image, `NAME:VERSION` or `${VARIABLE:-NAME:VERSION}`, has a fixed version instead of a tag like `latest`.
fn is_pinned(image: &str) -> bool {
    let default = image.split_once(":-").map_or(image, |(_, default)| default.trim_end_matches('}'));
    default.rsplit_once(':').is_some_and(|(_, version)| {
        !["latest", "main", "main-latest", "stable"].contains(&version) && !version.is_empty()
    })
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_sequence).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn keys(value: Option<&Value>) -> Vec<String> {
    let mapping = value.and_then(Value::as_mapping).into_iter().flatten();
    mapping.filter_map(|(key, _)| key.as_str()).map(str::to_owned).collect()
}

/// Names of the volumes that are not directories of the host.
fn named_volumes(service: &Value) -> Vec<String> {
    let sources = strings(service.get("volumes"))
        .into_iter()
        .filter_map(|volume| volume.split_once(':').map(|(source, _)| source.to_owned()));
    sources.filter(|source| !source.starts_with(['.', '/'])).collect()
}

/// Names of the secrets that the environment's `NAME_FILE` variables point to.
fn secret_files(service: &Value) -> Vec<String> {
    let environment = service.get("environment").and_then(Value::as_mapping).into_iter().flatten();
    environment.filter_map(|(_, value)| value.as_str()?.strip_prefix("/run/secrets/")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "\
services:
  nginx:
    image: nginx:1.28
    profiles: [production]
    networks: [edge]
    cap_drop: [ALL]
    security_opt: []
    logging: {}
    deploy: { resources: { limits: { memory: 1g } } }
networks: { edge: {}, app: { internal: true } }
secrets: { key: { file: x } }
volumes: { data: {} }
";

    #[test]
    fn a_valid_file_has_no_violations() {
        assert_eq!(violations(SERVICE).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn each_kind_of_violation_is_found() {
        let cases = [
            ("  nginx:\n", "  db:\n    ports: [\"5432:5432\"]\n", "publishes ports"),
            ("networks: [edge]", "networks: [edge, gone]", "names gone, which is not in networks"),
            ("cap_drop: [ALL]", "cap_drop: [ALL]\n    secrets: [gone]", "not in secrets"),
            ("cap_drop: [ALL]", "cap_drop: [ALL]\n    volumes: [\"gone:/x\"]", "not in volumes"),
            ("cap_drop: [ALL]", "cap_drop: [ALL]\n    depends_on: { gone: {} }", "not in services"),
            ("cap_drop: [ALL]", "cap_drop: [ALL]\n    environment: { A_FILE: /run/secrets/key }", "does not list"),
            ("    cap_drop: [ALL]\n", "", "lacks cap_drop"),
            ("memory: 1g", "cpus: 1", "no memory limit"),
            ("nginx:1.28", "${NGINX_IMAGE:-nginx:latest}", "without a version"),
            ("app: { internal: true }", "app: {}", "the network app is not internal"),
            ("networks: [edge]", "networks: [edge, plant]", "in the network of the plant systems"),
        ];
        for (from, to, expected) in cases {
            let text = SERVICE.replace(from, to);
            assert_ne!(text, SERVICE, "{from}");
            let found = violations(&text).unwrap();
            assert!(found.iter().any(|violation| violation.contains(expected)), "{expected}: {found:?}");
        }
    }
}
