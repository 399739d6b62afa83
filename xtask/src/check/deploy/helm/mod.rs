//! Checks the Helm chart: renders it with Helm for each file of values, validates the result against the schemas of
//! Kubernetes, and applies our own rules to it. Values that the chart must refuse are tried as well.

mod environment;
mod manifests;
mod network;
mod pods;
mod references;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::metrics::KnownMetrics;
use super::own_tools::failure;
use crate::proc::{self, Interrupt};
use crate::venv::{self, PackageFormats};
use crate::{helm, project};
use environment::KnownSettings;
use pods::ApiPaths;

/// Versions of Kubernetes whose schemas the manifests must satisfy: the oldest that the chart supports, and a new one.
const KUBERNETES_VERSIONS: [&str; 2] = ["1.30", "1.37"];
/// Directory of the chart.
const CHART: &str = "deploy/helm/platform";
/// Files of values to render the chart with.
const VALUES_DIR: &str = "deploy/helm/tests";
/// Start of the names of files whose values the chart must refuse.
const REFUSED: &str = "refused-";
/// What Helm says if the values do not satisfy `values.schema.json`.
const SCHEMA_ERROR: &str = "values don't meet the specifications of the schema";

/// Violations in the chart. Without Helm or the schemas, which may have to be downloaded, the chart is skipped with a
/// message; that is a violation if the variable `CI` is set.
///
/// # Errors
/// If a file cannot be read or written.
pub fn violations(root: &Path, known_metrics: &KnownMetrics, interrupt: &Interrupt) -> Result<Vec<String>> {
    let tools = match ChartTools::provision(root, interrupt) {
        Ok(tools) => tools,
        Err(error) => {
            interrupt.check()?;
            let message = format!("the Helm chart was not checked: {error:#}");
            if project::env_var("CI").is_some() {
                return Ok(vec![message]);
            }
            println!("deploy: {message}");
            return Ok(Vec::new());
        }
    };
    let read = |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"));
    let rules = Rules {
        known_metrics,
        settings: KnownSettings::parse(&read("docs/generated/config.schema.json")?)?,
        paths: ApiPaths::parse(&read("docs/generated/openapi.json")?).context("openapi.json is not JSON")?,
    };
    let mut violations: Vec<_> = tools.lint().into_iter().collect();
    violations.extend(tools.check_rendered(None, &rules)?);
    for values in value_files(&root.join(VALUES_DIR))? {
        interrupt.check()?;
        violations.extend(if is_refused(&values) {
            tools.check_refused(&values)
        } else {
            tools.check_rendered(Some(&values), &rules)?
        });
    }
    violations.extend(tools.check_secrets_are_refused(&rules.settings)?);
    Ok(violations)
}

/// What the rendered manifests are compared with.
struct Rules<'a> {
    known_metrics: &'a KnownMetrics,
    settings: KnownSettings,
    paths: ApiPaths,
}

/// The programs that check the chart.
struct ChartTools {
    helm: PathBuf,
    validator: PathBuf,
    chart: PathBuf,
    scratch: TempDir,
}

impl ChartTools {
    fn provision(root: &Path, interrupt: &Interrupt) -> Result<Self> {
        Ok(Self {
            helm: helm::provision(interrupt)?,
            validator: provision_validator(interrupt)?,
            chart: root.join(CHART),
            scratch: tempfile::tempdir()?,
        })
    }

    /// A command of Helm's that reads and writes no file of the user's.
    fn helm(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.helm);
        command.args(arguments).env_remove("KUBECONFIG").current_dir(self.scratch.path());
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            command.env(variable, self.scratch.path().join("helm"));
        }
        command
    }

    fn lint(&self) -> Option<String> {
        failure(self.helm(&["lint", "--strict"]).arg(&self.chart))
    }

    fn render(&self, values: Option<&Path>) -> Result<String> {
        let mut command = self.helm(&["template", "platform", "--namespace", "platform", "--kube-version", "1.30.0"]);
        command.arg(&self.chart);
        if let Some(values) = values {
            command.arg("--values").arg(values);
        }
        proc::checked_output(&mut command, "helm template")
    }

    /// Violations in the chart as rendered with a file of values, or with those of the chart alone.
    fn check_rendered(&self, values: Option<&Path>, rules: &Rules<'_>) -> Result<Vec<String>> {
        let name = values.map_or("the chart's own values".to_owned(), file_name);
        let text = match self.render(values) {
            Ok(text) => text,
            Err(error) => return Ok(vec![format!("{name}: {error:#}")]),
        };
        let mut violations = Vec::new();
        let rendered = self.scratch.path().join("rendered.yaml");
        fs::write(&rendered, &text)?;
        for version in KUBERNETES_VERSIONS {
            let mut validator = Command::new(&self.validator);
            // It warns of kinds that are not Kubernetes' own; our rules know those that the chart may render.
            validator.args(["--kubernetes-version", version, "--strict", "--quiet", "--no-warn"]).arg(&rendered);
            violations.extend(failure(&mut validator));
        }
        let manifests = manifests::parse(&text)?;
        violations.extend(pods::violations(&manifests, &rules.paths));
        violations.extend(environment::violations(&manifests, &rules.settings));
        violations.extend(references::violations(&manifests, rules.known_metrics));
        violations.extend(network::violations(&manifests));
        Ok(violations.into_iter().map(|violation| format!("{name}: {violation}")).collect())
    }

    fn check_refused(&self, values: &Path) -> Vec<String> {
        let name = file_name(values);
        match self.render(Some(values)) {
            Ok(_) => vec![format!("{name}: the chart accepts these values")],
            Err(error) if error.to_string().contains(SCHEMA_ERROR) => Vec::new(),
            Err(error) => vec![format!("{name}: not refused by the schema: {error:#}")],
        }
    }

    /// No secret of the server's can be written into the values.
    fn check_secrets_are_refused(&self, settings: &KnownSettings) -> Result<Vec<String>> {
        let values = self.scratch.path().join("secret.yaml");
        let mut violations = Vec::new();
        for variable in settings.secret_variables() {
            fs::write(&values, format!("env: {{ {variable}: example }}\n"))?;
            violations.extend(self.check_refused(&values).into_iter().map(|found| format!("{variable}: {found}")));
        }
        Ok(violations)
    }
}

/// Path of kubernetes-validate, which contains the schemas, in a virtual environment whose packages are pinned by hash.
fn provision_validator(interrupt: &Interrupt) -> Result<PathBuf> {
    if let Some(program) = project::env_var("KUBERNETES_VALIDATE") {
        return Ok(PathBuf::from(program));
    }
    let hint = "KUBERNETES_VALIDATE to the program";
    let name = "kubernetes-validate";
    let venv_dir = venv::provision(name, &requirements(), PackageFormats::WheelsOnly, hint, interrupt)?;
    Ok(venv_dir.join("bin").join(name))
}

fn requirements() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes-validate").join("requirements.txt")
}

/// The files of values, sorted by name.
fn value_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        files.push(entry?.path());
    }
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    Ok(files)
}

fn is_refused(values: &Path) -> bool {
    file_name(values).starts_with(REFUSED)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_installed_is_pinned_by_its_hash() {
        venv::assert_pinned(&requirements());
    }

    #[test]
    fn the_chart_is_rendered_with_two_more_files_of_values_and_refuses_others() {
        let files = value_files(&project::root().unwrap().join(VALUES_DIR)).unwrap();
        let refused = files.iter().filter(|file| is_refused(file)).count();
        assert!(refused >= 2 && files.len() - refused >= 2, "{files:?}");
    }
}
