//! The software bill of materials (CycloneDX 1.5): the packages that the programs are built from.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proc::{self, Interrupt};
use crate::project;

/// Packages whose programs are shipped.
const SHIPPED: &[&str] = &["platform-server", "platform-cli"];

/// A bill of materials.
pub struct Sbom {
    /// Version of the platform.
    pub version: String,
    /// The document, as JSON.
    pub document: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    description: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// Creates the bill of materials of this checkout.
///
/// # Errors
/// If cargo fails.
pub fn create(interrupt: &Interrupt) -> Result<Sbom> {
    let mut cargo = project::cargo()?;
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    cargo.args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &target]);
    let output = proc::capture(&mut cargo, interrupt, "cargo metadata")?;
    from_metadata(&output)
}

fn from_metadata(text: &str) -> Result<Sbom> {
    let metadata: Metadata = serde_json::from_str(text).context("cannot parse the output of cargo metadata")?;
    let shipped = shipped_packages(&metadata);
    let packages: Vec<_> = metadata.packages.iter().filter(|package| shipped.contains(package.id.as_str())).collect();
    let server = packages.iter().find(|package| package.name == "platform-server");
    let version = server.context("there is no platform-server")?.version.clone();
    let purl = |package: &Package| format!("pkg:cargo/{}@{}", package.name, package.version);
    let purls: BTreeMap<_, _> = packages.iter().map(|package| (package.id.as_str(), purl(package))).collect();
    let components: Vec<Value> = packages.iter().map(|package| component(package, &purl(package))).collect();
    let dependencies: Vec<Value> = metadata
        .resolve
        .nodes
        .iter()
        .filter_map(|node| {
            let on: BTreeSet<_> = non_dev_dependencies(node).filter_map(|dependency| purls.get(dependency)).collect();
            Some(json!({ "ref": purls.get(node.id.as_str())?, "dependsOn": on }))
        })
        .collect();
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": { "type": "application", "name": "plant-agent-platform", "version": version },
        },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(Sbom { version, document: serde_json::to_string_pretty(&document)? + "\n" })
}

fn component(package: &Package, purl: &str) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": purl,
        "name": package.name,
        "version": package.version,
        "purl": purl,
    });
    if let Some(license) = &package.license {
        component["licenses"] = json!([{ "expression": license.replace('/', " OR ") }]);
    }
    if let Some(description) = &package.description {
        component["description"] = json!(description.trim());
    }
    if package.source.is_none() {
        component["scope"] = json!("required");
    }
    component
}

/// Ids of the packages that the shipped programs depend on, including build dependencies.
fn shipped_packages(metadata: &Metadata) -> BTreeSet<&str> {
    let is_root = |package: &&Package| package.source.is_none() && SHIPPED.contains(&package.name.as_str());
    let mut pending: Vec<_> = metadata.packages.iter().filter(is_root).map(|package| package.id.as_str()).collect();
    let nodes: BTreeMap<_, _> = metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = pending.pop() {
        if found.insert(id) {
            pending.extend(nodes.get(id).into_iter().flat_map(|node| non_dev_dependencies(node)));
        }
    }
    found
}

fn non_dev_dependencies(node: &Node) -> impl Iterator<Item = &str> {
    let is_shipped = |dependency: &&Dependency| {
        dependency.dep_kinds.iter().any(|dependency| dependency.kind.as_deref() != Some("dev"))
    };
    node.deps.iter().filter(is_shipped).map(|dependency| dependency.pkg.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_lists_shipped_packages_but_no_dev_dependencies() {
        let metadata = r#"{"packages":[
            {"id":"s","name":"platform-server","version":"1.2.3","license":"MIT"},
            {"id":"a","name":"axum","version":"0.8.1","license":"MIT/Apache-2.0","source":"registry"},
            {"id":"w","name":"wiremock","version":"0.6.0","source":"registry"}],
          "resolve":{"nodes":[
            {"id":"s","deps":[{"pkg":"a","dep_kinds":[{"kind":null}]},{"pkg":"w","dep_kinds":[{"kind":"dev"}]}]},
            {"id":"a","deps":[]},{"id":"w","deps":[]}]}}"#;
        let sbom = from_metadata(metadata).unwrap();
        let document: Value = serde_json::from_str(&sbom.document).unwrap();
        assert_eq!(sbom.version, "1.2.3");
        let names: Vec<_> = document["components"].as_array().unwrap().iter().map(|c| &c["name"]).collect();
        assert_eq!(names, ["platform-server", "axum"]);
        assert_eq!(document["components"][1]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(document["dependencies"][0]["dependsOn"], json!(["pkg:cargo/axum@0.8.1"]));
    }
}
