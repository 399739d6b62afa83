//! Checks the variables and the configuration file of the rendered chart against the schema of the settings.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value as Schema;
use serde_norway::Value;

use super::manifests::{containers, items, of_kind, text, title, workloads};

/// Variable with the path of the configuration file, which is no setting itself.
const CONFIG_VARIABLE: &str = "PLATFORM_CONFIG";
/// Prefix of the variables that are named like their keys.
const PREFIX: &str = "PLATFORM__";

/// The settings of the server, from `docs/generated/config.schema.json`.
pub struct KnownSettings {
    schema: Schema,
    variables: BTreeMap<String, Schema>,
}

impl KnownSettings {
    /// Reads the schema of the settings.
    ///
    /// # Errors
    /// If it is not JSON.
    pub fn parse(schema: &str) -> Result<Self> {
        let schema: Schema = serde_json::from_str(schema).context("the schema of the settings is not JSON")?;
        let mut variables = BTreeMap::new();
        collect_variables(&schema, &mut variables);
        Ok(Self { schema, variables })
    }

    /// The variables whose values are secrets.
    pub fn secret_variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().filter(|(_, setting)| is_secret(setting)).map(|(name, _)| name.as_str())
    }

    /// The setting of a variable; `None` if the server does not know the variable.
    fn of_variable(&self, name: &str) -> Option<&Schema> {
        let by_path = || {
            let path = name.strip_prefix(PREFIX)?.to_lowercase();
            path.split("__").try_fold(&self.schema, child).filter(|setting| setting.get("properties").is_none())
        };
        self.variables.get(name).or_else(by_path)
    }
}

fn collect_variables(schema: &Schema, variables: &mut BTreeMap<String, Schema>) {
    for name in schema["x-variables"].as_array().into_iter().flatten().filter_map(Schema::as_str) {
        variables.insert(name.to_owned(), schema.clone());
    }
    for property in schema["properties"].as_object().into_iter().flat_map(|properties| properties.values()) {
        collect_variables(property, variables);
    }
}

/// The setting of a key, which may be any key in a table with names of the operator's own.
fn child<'a>(schema: &'a Schema, key: &str) -> Option<&'a Schema> {
    let property = schema.get("properties").and_then(|properties| properties.get(key));
    property.or_else(|| schema.get("additionalProperties").filter(|others| others.is_object()))
}

fn is_secret(setting: &Schema) -> bool {
    setting["writeOnly"].as_bool() == Some(true)
}

/// Violations of the rules for variables and configuration files.
pub fn violations(manifests: &[Value], settings: &KnownSettings) -> Vec<String> {
    let mut violations = Vec::new();
    for workload in workloads(manifests) {
        for variable in containers(workload).flat_map(|container| items(&container["env"])) {
            let violation = check_variable(variable, settings);
            violations.extend(violation.map(|violation| format!("{} {violation}", title(workload))));
        }
    }
    for map in of_kind(manifests, "ConfigMap") {
        for (file, content) in map["data"].as_mapping().into_iter().flatten() {
            let found = check_file(text(content), settings);
            violations.extend(found.into_iter().map(|violation| format!("{}: {violation}", text(file))));
        }
    }
    violations
}

fn check_variable(variable: &Value, settings: &KnownSettings) -> Option<String> {
    let name = text(&variable["name"]);
    if name == CONFIG_VARIABLE {
        return None;
    }
    // Only variables with a name of their own can be read from a file.
    let file_of = name.strip_suffix("_FILE").filter(|of| !of.starts_with(PREFIX));
    if file_of.is_some_and(|of| settings.variables.contains_key(of)) {
        return None;
    }
    let Some(setting) = settings.of_variable(name) else {
        return Some(format!("sets {name}, which is no setting of the server"));
    };
    let value = variable.get("value")?;
    if is_secret(setting) {
        return Some(format!("contains the value of the secret {name}"));
    }
    let value = text(value);
    (!fits(value, setting)).then(|| format!("sets {name} to {value:?}, which the setting does not allow"))
}

/// Whether a variable's value has the type of its setting. Types without a rule here always fit.
fn fits(value: &str, setting: &Schema) -> bool {
    if let Some(allowed) = setting["enum"].as_array() {
        return allowed.iter().any(|allowed| allowed == value);
    }
    match setting["type"].as_str() {
        Some("integer") => value.parse::<u64>().is_ok(),
        Some("boolean") => value.parse::<bool>().is_ok(),
        Some("array" | "object") => false,
        _ => true,
    }
}

fn check_file(content: &str, settings: &KnownSettings) -> Vec<String> {
    match toml::from_str::<toml::Table>(content) {
        Ok(table) => {
            let mut violations = Vec::new();
            check_table(&table, &settings.schema, "", &mut violations);
            violations
        }
        Err(error) => vec![error.to_string()],
    }
}

fn check_table(table: &toml::Table, schema: &Schema, path: &str, violations: &mut Vec<String>) {
    for (key, value) in table {
        let path = format!("{path}.{key}");
        let name = path.trim_start_matches('.');
        match (child(schema, key), value) {
            (None, _) => violations.push(format!("{name} is no setting of the server")),
            (Some(setting), _) if is_secret(setting) => violations.push(format!("{name} is a secret")),
            (Some(setting), toml::Value::Table(inner)) => check_table(inner, setting, &path, violations),
            (Some(setting), toml::Value::Array(elements)) => {
                for inner in elements.iter().filter_map(toml::Value::as_table) {
                    check_table(inner, &setting["items"], &path, violations);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifests::samples::assert_finds;
    use super::*;

    fn settings() -> KnownSettings {
        let path = crate::project::root().unwrap().join("docs/generated/config.schema.json");
        KnownSettings::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn variables_that_the_server_does_not_know_and_values_that_it_refuses_are_found() {
        let settings = settings();
        assert_finds(
            &[
                ["PLATFORM__SERVER__SHUTDOWN_GRACE_S", "PLATFORM__SERVER__GRACE", "which is no setting"],
                ["DATABASE_URL_FILE", "DATABASE_URI_FILE", "sets DATABASE_URI_FILE"],
                ["DATABASE_URL_FILE", "PLATFORM__DATABASE__URL_FILE", "sets PLATFORM__DATABASE__URL_FILE"],
                ["BACKENDS__GPU__API_KEY", "BACKENDS__GPU__KEY", "which is no setting"],
                ["value: \"25\"", "value: soon", "to \"soon\", which the setting does not allow"],
                ["GPU__API_KEY, valueFrom: {}", "GPU__API_KEY, value: example", "contains the value of the secret"],
                ["DATABASE_URL_FILE, value", "PLATFORM__MODE, value", "which the setting does not allow"],
            ],
            |manifests| violations(manifests, &settings),
        );
    }

    #[test]
    fn the_configuration_file_has_known_keys_and_no_secrets() {
        let settings = settings();
        assert_finds(
            &[
                ["[auth.tenants]", "[auth.tenant]", "platform.toml: auth.tenant is no setting"],
                ["backend = \"gpu\"", "backends = \"gpu\"", "models.tiers.fast.backends is no setting"],
                ["\"1111\" = \"acme\"", "\"1111\" = ", "platform.toml: "],
                ["[auth.tenants]", "[models.backends.a]\n    api_key = \"x\"\n    [auth.tenants]", "is a secret"],
            ],
            |manifests| violations(manifests, &settings),
        );
    }

    #[test]
    fn the_secrets_are_those_of_the_schema() {
        let settings = settings();
        let secrets: Vec<_> = settings.secret_variables().collect();
        assert!(secrets.contains(&"SECRET_KEY") && secrets.contains(&"DATABASE_URL"), "{secrets:?}");
        assert!(!secrets.contains(&"LITELLM_BASE_URL"), "{secrets:?}");
    }
}
