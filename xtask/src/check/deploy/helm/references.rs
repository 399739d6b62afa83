//! Checks that the objects of the rendered chart fit together: selectors select something, and names exist.

use serde_norway::Value;

use super::manifests::{has_port, is_hook, items, of_kind, selects, template, text, title, workloads};
use crate::check::deploy::metrics::KnownMetrics;

/// Kinds that the chart may render.
const KINDS: &[&str] = &[
    "ConfigMap",
    "Deployment",
    "HorizontalPodAutoscaler",
    "Ingress",
    "Job",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
];

/// Violations of the rules for references between objects.
pub fn violations(manifests: &[Value], known: &KnownMetrics) -> Vec<String> {
    let mut violations = Vec::new();
    for manifest in manifests {
        let title = title(manifest);
        let found = match text(&manifest["kind"]) {
            "Deployment" => check_deployment(manifest),
            "Job" => check_hook(manifest, manifests),
            "Service" => check_service(manifest, manifests),
            "ServiceAccount" => check_service_account(manifest),
            "ServiceMonitor" => check_monitor(manifest, manifests),
            "PodDisruptionBudget" => check_budget(manifest, manifests),
            "HorizontalPodAutoscaler" => check_autoscaler(manifest, manifests, known),
            "Ingress" => check_ingress(manifest, manifests),
            kind if KINDS.contains(&kind) => Vec::new(),
            kind => vec![format!("is of the kind {kind}, which the chart has no business with")],
        };
        violations.extend(found.into_iter().map(|violation| format!("{title} {violation}")));
    }
    violations
}

/// The workload whose pods a selector selects.
fn selected<'a>(selector: &Value, manifests: &'a [Value]) -> Option<&'a Value> {
    workloads(manifests).find(|workload| selects(selector, &template(workload)["metadata"]["labels"]))
}

fn check_deployment(deployment: &Value) -> Vec<String> {
    let labels = &template(deployment)["metadata"]["labels"];
    let fits = selects(&deployment["spec"]["selector"]["matchLabels"], labels);
    (!fits).then(|| "does not select its own pods".to_owned()).into_iter().collect()
}

/// A hook runs before the release's objects exist.
fn check_hook(job: &Value, manifests: &[Value]) -> Vec<String> {
    if !is_hook(job) {
        return vec!["is no hook, so an upgrade would have to change it, which a Job does not allow".to_owned()];
    }
    let spec = &template(job)["spec"];
    let references = items(&spec["volumes"]).flat_map(|volume| {
        [
            ("ConfigMap", &volume["configMap"]["name"]),
            ("PersistentVolumeClaim", &volume["persistentVolumeClaim"]["claimName"]),
        ]
    });
    let references = references.chain([("ServiceAccount", &spec["serviceAccountName"])]);
    let is_later = |kind: &str, name: &Value| {
        !name.is_null()
            && manifests.iter().any(|manifest| {
                text(&manifest["kind"]) == kind && manifest["metadata"]["name"] == *name && !is_hook(manifest)
            })
    };
    references
        .filter(|(kind, name)| is_later(kind, name))
        .map(|(kind, name)| format!("needs the {kind} {}, which does not exist yet when the hook runs", text(name)))
        .collect()
}

fn check_service(service: &Value, manifests: &[Value]) -> Vec<String> {
    let Some(workload) = selected(&service["spec"]["selector"], manifests) else {
        return vec!["selects no pods".to_owned()];
    };
    let ports = items(&service["spec"]["ports"]).map(|port| text(&port["targetPort"]));
    ports.filter(|port| !has_port(workload, port)).map(|port| format!("leads to {port:?}, which is no port")).collect()
}

fn check_service_account(account: &Value) -> Vec<String> {
    let has_token = account["automountServiceAccountToken"].as_bool() != Some(false);
    has_token.then(|| "gives pods a token".to_owned()).into_iter().collect()
}

fn check_monitor(monitor: &Value, manifests: &[Value]) -> Vec<String> {
    let selector = &monitor["spec"]["selector"]["matchLabels"];
    let services: Vec<_> =
        of_kind(manifests, "Service").filter(|service| selects(selector, &service["metadata"]["labels"])).collect();
    if services.is_empty() {
        return vec!["selects no service".to_owned()];
    }
    let has_port = |service: &Value, name: &Value| items(&service["spec"]["ports"]).any(|port| port["name"] == *name);
    let endpoints = items(&monitor["spec"]["endpoints"]).map(|endpoint| &endpoint["port"]);
    let missing = endpoints.filter(|name| !services.iter().all(|service| has_port(service, name)));
    missing.map(|name| format!("scrapes {:?}, which a service lacks", text(name))).collect()
}

fn check_budget(budget: &Value, manifests: &[Value]) -> Vec<String> {
    let selects_pods = selected(&budget["spec"]["selector"]["matchLabels"], manifests).is_some();
    (!selects_pods).then(|| "selects no pods".to_owned()).into_iter().collect()
}

fn check_autoscaler(autoscaler: &Value, manifests: &[Value], known: &KnownMetrics) -> Vec<String> {
    let spec = &autoscaler["spec"];
    let target = &spec["scaleTargetRef"];
    let mut violations = Vec::new();
    match of_kind(manifests, "Deployment").find(|deployment| deployment["metadata"]["name"] == target["name"]) {
        None => violations.push(format!("scales {}, which does not exist", text(&target["name"]))),
        Some(deployment) if !deployment["spec"]["replicas"].is_null() => {
            violations.push("scales a Deployment whose replicas each upgrade sets again".to_owned());
        }
        Some(_) => {}
    }
    let external = items(&spec["metrics"]).filter(|metric| text(&metric["type"]) == "External");
    for name in external.map(|metric| text(&metric["external"]["metric"]["name"])) {
        let unknown = known.unknown_in(name);
        violations.extend(unknown.iter().map(|metric| format!("uses the metric {metric}, which nothing exposes")));
    }
    violations
}

fn check_ingress(ingress: &Value, manifests: &[Value]) -> Vec<String> {
    let mut violations = Vec::new();
    let hosts: Vec<_> = items(&ingress["spec"]["tls"]).flat_map(|tls| items(&tls["hosts"])).collect();
    for rule in items(&ingress["spec"]["rules"]) {
        if !hosts.contains(&&rule["host"]) {
            violations.push(format!("serves {} without TLS", text(&rule["host"])));
        }
        for path in items(&rule["http"]["paths"]) {
            let backend = &path["backend"]["service"];
            let exists = of_kind(manifests, "Service").any(|service| {
                service["metadata"]["name"] == backend["name"]
                    && items(&service["spec"]["ports"]).any(|port| port["name"] == backend["port"]["name"])
            });
            if !exists {
                violations.push(format!("leads to the service {}, which has no such port", text(&backend["name"])));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::manifests::samples::assert_finds;
    use super::*;

    fn rule(manifests: &[Value]) -> Vec<String> {
        violations(manifests, &KnownMetrics::new(&[], ""))
    }

    #[test]
    fn selectors_that_select_nothing_and_names_that_do_not_exist_are_found() {
        assert_finds(
            &[
                ["labels: { app: p, part: api }", "labels: { app: p, part: a }", "does not select its own pods"],
                ["labels: { app: p, part: api }", "labels: { app: p, part: a }", "Service api selects no pods"],
                ["labels: { app: p, part: api }", "labels: { app: p, part: a }", "Budget p selects no pods"],
                ["targetPort: http", "targetPort: web", "Service api leads to \"web\""],
                ["labels: { app: p, part: metrics }", "labels: { app: p }", "selects no service"],
                ["endpoints: [{ port: metrics", "endpoints: [{ port: other", "scrapes \"other\""],
                ["kind: Deployment, name: api", "kind: Deployment, name: b", "scales b, which does not exist"],
                ["spec:\n  selector", "spec:\n  replicas: 2\n  selector", "each upgrade sets again"],
                ["metric: { name: up }", "metric: { name: invented_seconds }", "invented_seconds"],
                ["hosts: [a.example]", "hosts: [b.example]", "a.example without TLS"],
                ["port: { name: web }", "port: { name: http }", "leads to the service api"],
            ],
            rule,
        );
    }

    #[test]
    fn hooks_need_nothing_of_the_release_and_no_secret_is_rendered() {
        assert_finds(
            &[
                ["secret: { secretName: existing }", "configMap: { name: p }", "needs the ConfigMap p"],
                [", annotations: { helm.sh/hook: pre-install }", "", "is no hook"],
                ["kind: ConfigMap", "kind: Secret", "is of the kind Secret"],
                ["name: p }\nautomountServiceAccountToken: false", "name: p }", "gives pods a token"],
            ],
            rule,
        );
    }
}
