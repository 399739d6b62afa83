//! Checks the pods of the rendered chart: they run without rights, within limits, and with probes that exist.

use serde_norway::Value;

use super::manifests::{containers, has_port, items, template, text, title, workloads};

/// Path that the port of the metrics serves.
const METRICS_PATH: &str = "/metrics";
/// Seconds that the server may need after `server.shutdown_grace_s`: three steps of five seconds.
const FINAL_STEPS_S: u64 = 15;

/// The paths that the API serves, from its OpenAPI document.
pub struct ApiPaths {
    document: serde_json::Value,
}

impl ApiPaths {
    /// Reads an OpenAPI document.
    ///
    /// # Errors
    /// If it is not JSON.
    pub fn parse(document: &str) -> serde_json::Result<Self> {
        Ok(Self { document: serde_json::from_str(document)? })
    }

    fn contains(&self, path: &str) -> bool {
        self.document["paths"].get(path).is_some_and(|operations| operations.get("get").is_some())
    }
}

/// Violations of the rules for pods and their containers.
pub fn violations(manifests: &[Value], paths: &ApiPaths) -> Vec<String> {
    let mut violations = Vec::new();
    for workload in workloads(manifests) {
        let title = title(workload);
        let mut report = |text: String| violations.push(format!("{title} {text}"));
        check_pod(&template(workload)["spec"], &mut report);
        for container in containers(workload) {
            check_security(container, &mut report);
            check_resources(container, &mut report);
            check_mounts(&template(workload)["spec"], container, &mut report);
        }
        if text(&workload["kind"]) != "Job" {
            check_probes(workload, paths, &mut report);
            check_termination(workload, &mut report);
        }
    }
    violations
}

fn check_pod(spec: &Value, report: &mut impl FnMut(String)) {
    for switch in ["automountServiceAccountToken", "enableServiceLinks"] {
        if spec[switch].as_bool() != Some(false) {
            report(format!("does not switch {switch} off"));
        }
    }
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        if spec[shared].as_bool() == Some(true) {
            report(format!("has {shared}"));
        }
    }
    if spec["securityContext"]["runAsNonRoot"].as_bool() != Some(true) {
        report("may run as root".to_owned());
    }
    if text(&spec["securityContext"]["seccompProfile"]["type"]) != "RuntimeDefault" {
        report("has no seccomp profile".to_owned());
    }
    for volume in items(&spec["volumes"]).filter(|volume| !volume["hostPath"].is_null()) {
        report(format!("mounts a directory of the host as {}", text(&volume["name"])));
    }
}

fn check_security(container: &Value, report: &mut impl FnMut(String)) {
    let name = text(&container["name"]);
    let security = &container["securityContext"];
    if security["allowPrivilegeEscalation"].as_bool() != Some(false) {
        report(format!("lets {name} gain privileges"));
    }
    if security["privileged"].as_bool() == Some(true) {
        report(format!("runs {name} privileged"));
    }
    if security["readOnlyRootFilesystem"].as_bool() != Some(true) {
        report(format!("gives {name} a root file system that can be written"));
    }
    let drops_all = items(&security["capabilities"]["drop"]).any(|capability| text(capability) == "ALL");
    if !drops_all || !security["capabilities"]["add"].is_null() {
        report(format!("leaves {name} capabilities"));
    }
}

fn check_resources(container: &Value, report: &mut impl FnMut(String)) {
    let name = text(&container["name"]);
    let resources = &container["resources"];
    let sections = [("requests", "cpu"), ("requests", "memory"), ("limits", "memory")];
    for (section, resource) in sections.iter().filter(|(section, resource)| resources[*section][*resource].is_null()) {
        report(format!("has no {section} of {resource} for {name}"));
    }
    let image = text(&container["image"]);
    let version = image.rsplit_once([':', '@']).map(|(_, version)| version);
    if version.is_none_or(|version| version.contains('/') || ["latest", "main", "stable"].contains(&version)) {
        report(format!("has an image without a version for {name}: {image}"));
    }
}

fn check_mounts(spec: &Value, container: &Value, report: &mut impl FnMut(String)) {
    for mount in items(&container["volumeMounts"]) {
        if !items(&spec["volumes"]).any(|volume| volume["name"] == mount["name"]) {
            report(format!("mounts {}, which is not in volumes", text(&mount["name"])));
        }
    }
}

fn check_probes(workload: &Value, paths: &ApiPaths, report: &mut impl FnMut(String)) {
    for container in containers(workload) {
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let request = &container[probe]["httpGet"];
            let (path, port) = (text(&request["path"]), text(&request["port"]));
            if !has_port(workload, port) {
                report(format!("has no {probe}, or its port {port:?} does not exist"));
            }
            let is_served = if port == "metrics" { path == METRICS_PATH } else { paths.contains(path) };
            if !is_served {
                report(format!("asks {path:?} in its {probe}, which {port:?} does not serve"));
            }
        }
    }
}

/// The server must be able to end by itself before it is killed.
fn check_termination(workload: &Value, report: &mut impl FnMut(String)) {
    let grace_period = template(workload)["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or_default();
    for container in containers(workload) {
        let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or_default();
        let setting =
            items(&container["env"]).find(|variable| text(&variable["name"]) == "PLATFORM__SERVER__SHUTDOWN_GRACE_S");
        let Some(streams) = setting.and_then(|variable| text(&variable["value"]).parse::<u64>().ok()) else {
            report("does not say how long streams may take to finish".to_owned());
            continue;
        };
        let needed = pause + streams + FINAL_STEPS_S;
        if pause == 0 {
            report("is stopped before the proxy hears of it (no preStop.sleep)".to_owned());
        }
        if grace_period < needed {
            report(format!("is killed after {grace_period} s, but needs up to {needed} s to end"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifests::samples::assert_finds;
    use super::*;

    fn rule(manifests: &[Value]) -> Vec<String> {
        let paths = ApiPaths::parse("{\"paths\":{\"/health\":{\"get\":{}},\"/ready\":{\"get\":{}}}}").unwrap();
        violations(manifests, &paths)
    }

    #[test]
    fn each_right_that_a_pod_has_is_found() {
        assert_finds(
            &[
                ["runAsNonRoot: true", "runAsNonRoot: false", "Job migrate may run as root"],
                ["type: RuntimeDefault", "type: Unconfined", "Deployment api has no seccomp profile"],
                ["allowPrivilegeEscalation: false", "privileged: false", "lets api gain privileges"],
                ["readOnlyRootFilesystem: true", "privileged: true", "runs migrate privileged"],
                ["readOnlyRootFilesystem: true", "privileged: true", "gives api a root file system"],
                ["drop: [ALL]", "drop: [NET_RAW]", "leaves api capabilities"],
                ["drop: [ALL]", "drop: [ALL], add: [NET_ADMIN]", "leaves api capabilities"],
                ["automountServiceAccountToken: false\n      enable", "hostNetwork: true\n      enable", "hostNetwork"],
                ["enableServiceLinks: false", "hostPID: true", "enableServiceLinks"],
                ["emptyDir: {}", "hostPath: { path: / }", "directory of the host"],
            ],
            rule,
        );
    }

    #[test]
    fn limits_versions_and_volumes_are_required() {
        assert_finds(
            &[
                ["limits: { memory: 1Gi }", "limits: {}", "no limits of memory for api"],
                ["requests: { cpu: 1,", "requests: {", "no requests of cpu for migrate"],
                ["platform:1.0.0", "platform:latest", "without a version"],
                ["platform:1.0.0", "registry:5000/platform", "without a version"],
                ["volumes: [{ name: tmp", "volumes: [{ name: other", "mounts tmp, which is not in volumes"],
            ],
            rule,
        );
    }

    #[test]
    fn probes_ask_what_is_served_and_the_end_is_awaited() {
        assert_finds(
            &[
                ["path: /ready, port: http", "path: /readyz, port: http", "asks \"/readyz\" in its readinessProbe"],
                ["path: /metrics, port: metrics", "path: /health, port: metrics", "\"metrics\" does not serve"],
                ["startupProbe:", "otherProbe:", "has no startupProbe"],
                ["name: http, containerPort", "name: web, containerPort", "port \"http\" does not exist"],
                ["GracePeriodSeconds: 60", "GracePeriodSeconds: 44", "needs up to 45 s"],
                ["value: \"25\"", "value: \"120\"", "needs up to 140 s"],
                ["sleep: { seconds: 5 }", "exec: {}", "before the proxy hears of it"],
            ],
            rule,
        );
    }
}
