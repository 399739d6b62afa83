//! Checks the network policies of the rendered chart: everything is refused that no rule names.

use serde_norway::Value;

use super::manifests::{has_port, items, of_kind, selects, template, text, title, workloads};

/// The port that may be reached anywhere: HTTPS, for the keys of token issuers.
const HTTPS: u64 = 443;

/// Violations of the rules for network policies; none if the chart renders no policy.
pub fn violations(manifests: &[Value]) -> Vec<String> {
    let policies: Vec<_> = of_kind(manifests, "NetworkPolicy").collect();
    if policies.is_empty() {
        return Vec::new();
    }
    let mut violations = Vec::new();
    for workload in workloads(manifests) {
        if !policies.iter().any(|policy| refuses_all(policy) && applies(policy, workload)) {
            violations.push(format!("{} is selected by no policy that refuses everything", title(workload)));
        }
    }
    for policy in policies {
        let title = title(policy);
        let mut report = |text: String| violations.push(format!("{title} {text}"));
        let types: Vec<_> = items(&policy["spec"]["policyTypes"]).map(text).collect();
        if types != ["Ingress", "Egress"] {
            report("does not limit both directions".to_owned());
        }
        check_ingress(policy, manifests, &mut report);
        check_egress(policy, &mut report);
    }
    violations
}

fn refuses_all(policy: &Value) -> bool {
    policy["spec"]["ingress"].is_null() && policy["spec"]["egress"].is_null()
}

fn applies(policy: &Value, workload: &Value) -> bool {
    let selector = &policy["spec"]["podSelector"]["matchLabels"];
    // A policy without a selector applies to every pod of the namespace.
    selector.is_null() || selects(selector, &template(workload)["metadata"]["labels"])
}

fn check_ingress(policy: &Value, manifests: &[Value], report: &mut impl FnMut(String)) {
    for rule in items(&policy["spec"]["ingress"]) {
        if items(&rule["from"]).next().is_none() {
            report("lets everybody in".to_owned());
        }
        let ports: Vec<_> = items(&rule["ports"]).map(|port| text(&port["port"])).collect();
        if ports.is_empty() {
            report("opens all ports".to_owned());
        }
        if ports.contains(&"metrics") && ports.len() > 1 {
            report("opens the metrics to those who may reach another port".to_owned());
        }
        for workload in workloads(manifests).filter(|workload| applies(policy, workload)) {
            for port in ports.iter().filter(|port| !has_port(workload, port)) {
                report(format!("opens {port:?}, which {} does not have", title(workload)));
            }
        }
    }
}

fn check_egress(policy: &Value, report: &mut impl FnMut(String)) {
    for rule in items(&policy["spec"]["egress"]) {
        let ports: Vec<_> = items(&rule["ports"]).map(|port| port["port"].as_u64()).collect();
        if ports.is_empty() {
            report("lets pods reach all ports".to_owned());
        }
        if items(&rule["to"]).next().is_none() {
            report("lets pods reach everybody".to_owned());
        }
        let is_anywhere = |peer: &Value| text(&peer["ipBlock"]["cidr"]).ends_with("/0");
        if items(&rule["to"]).any(is_anywhere) && ports != [Some(HTTPS)] {
            report(format!("lets pods reach any address at another port than {HTTPS}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifests::samples::assert_finds;
    use super::*;

    #[test]
    fn everything_that_is_open_is_found() {
        assert_finds(
            &[
                [
                    "podSelector: { matchLabels: { app: p } }",
                    "podSelector: { matchLabels: { app: q } }",
                    "by no policy",
                ],
                ["policyTypes: [Ingress, Egress]", "policyTypes: [Ingress]", "does not limit both"],
                ["from: [{ podSelector: {} }], ports: [{ port: http }]", "ports: [{ port: http }]", "everybody in"],
                ["}], ports: [{ port: http }]", "}]", "opens all ports"],
                ["ports: [{ port: metrics }]", "ports: [{ port: metrics }, { port: http }]", "opens the metrics"],
                ["ports: [{ port: http }]", "ports: [{ port: web }]", "opens \"web\""],
                ["to: [{ ipBlock: { cidr: 10.0.0.1/32 } }], ", "", "reach everybody"],
                [", ports: [{ port: 5432 }]", "", "reach all ports"],
                ["cidr: 10.0.0.1/32", "cidr: 0.0.0.0/0", "at another port than 443"],
            ],
            violations,
        );
    }

    #[test]
    fn a_chart_without_policies_is_the_operators_decision() {
        let without = super::super::manifests::parse("kind: Deployment").unwrap();
        assert!(violations(&without).is_empty());
    }
}
