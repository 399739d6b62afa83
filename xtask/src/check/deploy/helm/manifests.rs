//! Rendered manifests: reading them, and finding pods, containers and labels in them.

use anyhow::{Context, Result};
use serde::Deserialize as _;
use serde_norway::Value;

/// Kinds of objects that create pods from a template.
const WORKLOADS: &[&str] = &["Deployment", "StatefulSet", "DaemonSet", "Job"];

/// The objects in the output of `helm template`.
///
/// # Errors
/// If it is not YAML.
pub fn parse(text: &str) -> Result<Vec<Value>> {
    let mut manifests = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        let manifest = Value::deserialize(document).context("the rendered chart is not YAML")?;
        if !manifest.is_null() {
            manifests.push(manifest);
        }
    }
    Ok(manifests)
}

/// Kind and name, for messages.
pub fn title(manifest: &Value) -> String {
    format!("{} {}", text(&manifest["kind"]), text(&manifest["metadata"]["name"]))
}

/// A string, or "" for any other value.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The elements of a sequence; none for any other value.
pub fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_sequence().into_iter().flatten()
}

/// The objects of a kind.
pub fn of_kind<'a>(manifests: &'a [Value], kind: &'static str) -> impl Iterator<Item = &'a Value> {
    manifests.iter().filter(move |manifest| manifest["kind"].as_str() == Some(kind))
}

/// The objects that create pods.
pub fn workloads(manifests: &[Value]) -> impl Iterator<Item = &Value> {
    manifests.iter().filter(|manifest| WORKLOADS.contains(&text(&manifest["kind"])))
}

/// The pod template of a workload.
pub fn template(workload: &Value) -> &Value {
    &workload["spec"]["template"]
}

/// The containers and init containers of a workload.
pub fn containers(workload: &Value) -> impl Iterator<Item = &Value> {
    let spec = &template(workload)["spec"];
    items(&spec["initContainers"]).chain(items(&spec["containers"]))
}

/// Whether labels have everything that a selector (`matchLabels`) wants; never if it wants nothing.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    selector
        .as_mapping()
        .is_some_and(|wanted| !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

/// Whether an object is a hook of Helm's, which exists before the release's other objects.
pub fn is_hook(manifest: &Value) -> bool {
    !manifest["metadata"]["annotations"]["helm.sh/hook"].is_null()
}

/// Whether one of a workload's containers has a port of this name.
pub fn has_port(workload: &Value, port: &str) -> bool {
    containers(workload).flat_map(|container| items(&container["ports"])).any(|found| text(&found["name"]) == port)
}

#[cfg(test)]
pub mod samples {
    use super::*;

    /// A small release that satisfies every rule.
    pub const RELEASE: &str = include_str!("sample.yaml");

    /// What a rule finds in the sample after `from` was replaced by `to`.
    pub fn found(from: &str, to: &str, rule: impl Fn(&[Value]) -> Vec<String>) -> Vec<String> {
        let text = RELEASE.replace(from, to);
        assert!(from == to || text != RELEASE, "the sample has no {from}");
        rule(&parse(&text).unwrap())
    }

    /// Asserts that a rule finds nothing in the sample, and in each changed one a message that contains the expected
    /// text. A case is what is replaced, its replacement and that text.
    pub fn assert_finds(cases: &[[&str; 3]], rule: impl Fn(&[Value]) -> Vec<String>) {
        assert_eq!(found("", "", &rule), Vec::<String>::new());
        for [from, to, expected] in cases {
            let violations = found(from, to, &rule);
            assert!(violations.iter().any(|violation| violation.contains(expected)), "{expected}: {violations:?}");
        }
    }

    #[test]
    fn empty_documents_are_left_out_and_selectors_must_want_something() {
        assert_eq!(parse("---\n# nothing\n---\nkind: A\n---\n").unwrap().len(), 1);
        let labels: Value = serde_norway::from_str("{ a: x, b: y }").unwrap();
        let selector = |text: &str| serde_norway::from_str::<Value>(text).unwrap();
        assert!(selects(&selector("{ a: x }"), &labels));
        assert!(!selects(&selector("{ a: x, c: z }"), &labels) && !selects(&selector("{}"), &labels));
    }
}
