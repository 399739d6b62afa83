//! Repeats the decision during an export of the audit log, which may take as long as its reader keeps it open. Before
//! each page, the gate checks whether the reader may still export.

use super::Decider;
use async_trait::async_trait;
use domain::audit::chain::ChainPages;
use domain::authorized::Authorized;
use domain::command::ExportAudit;
use domain::ports::StoreError;
use futures::{StreamExt as _, stream};
use runtime::error::RuntimeError;
use runtime::use_case::UseCase;
use std::sync::Arc;

/// The export use case, with a new decision before each page after the first. A refusal is recorded and ends the stream
/// with an error.
pub(super) struct ReauthorizedExport {
    export: Arc<dyn UseCase<ExportAudit>>,
    decider: Arc<Decider>,
}

impl ReauthorizedExport {
    pub(super) fn new(export: Arc<dyn UseCase<ExportAudit>>, decider: Arc<Decider>) -> Self {
        Self { export, decider }
    }
}

#[async_trait]
impl UseCase<ExportAudit> for ReauthorizedExport {
    async fn execute(&self, command: Authorized<ExportAudit>) -> Result<ChainPages, RuntimeError> {
        let (permit, request) = (command.permit().clone(), *command.command());
        let pages = self.export.execute(command).await?;
        let decider = Arc::clone(&self.decider);
        let reauthorized_pages = stream::try_unfold((pages, false), move |(mut pages, is_started)| {
            let (decider, permit) = (Arc::clone(&decider), permit.clone());
            async move {
                if is_started {
                    let decision = decider.authorize_again(permit.scope(), permit.credential(), &request).await;
                    decision.map_err(|source| StoreError::Failed {
                        activity: "continuing an export",
                        source: Box::new(source),
                    })?;
                }
                Ok(pages.next().await.transpose()?.map(|page| (page, (pages, true))))
            }
        });
        Ok(reauthorized_pages.boxed())
    }
}
