//! Composes the use cases of approvals, and the worker's part of them.

use crate::config::Settings;
use crate::ports::SharedPorts;
use policy::rules::MatrixRules;
use runtime::approvals::process::{ApprovalProcessor, ProcessorPorts};
use runtime::approvals::{ApprovalPorts, ApprovalService};
use std::sync::Arc;
use std::time::Duration;
use tools::gateway::ToolGateway;

/// The use cases of approvals.
pub(crate) fn service(ports: &SharedPorts, tools: &Arc<dyn ToolGateway>) -> ApprovalService {
    let SharedPorts { store, clock, ids, .. } = ports.clone();
    ApprovalService::new(ApprovalPorts { store, tools: Arc::clone(tools), clock, ids })
}

/// The worker's part of approvals.
pub(crate) fn processor(
    settings: &Settings,
    ports: &SharedPorts,
    tools: &Arc<dyn ToolGateway>,
) -> Arc<ApprovalProcessor> {
    let SharedPorts { store, clock, ids, .. } = ports.clone();
    let rules = Arc::new(MatrixRules);
    let processor = ApprovalProcessor::new(ProcessorPorts { store, tools: Arc::clone(tools), rules, clock, ids });
    Arc::new(processor.settling_for(Duration::from_secs(settings.worker.write_settle_s)))
}
