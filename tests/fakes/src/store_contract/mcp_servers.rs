//! Test cases for MCP servers.

use super::{CaseResult, TestContext, TestTenant, require, user_id};
use domain::mcp::{McpServer, McpServerName, McpToolState, ToolDefinition, ToolRule};
use domain::page::PageRequest;
use domain::role::Classification;
use serde_json::json;

impl TestContext {
    fn new_mcp_server(&self, name: &str) -> Result<McpServer, super::CaseError> {
        let now = self.advance_clock();
        let mut server = McpServer {
            id: self.new_id(),
            name: McpServerName::parse(name)?,
            url: format!("https://{name}.example/mcp"),
            sealed_token: Some(vec![0, 1, 255]),
            tools: Vec::new(),
            created_at: now,
            updated_at: now,
        };
        server.sync_tools(&[definition("reads")]);
        Ok(server)
    }
}

fn definition(description: &str) -> ToolDefinition {
    ToolDefinition {
        name: "read".to_owned(),
        title: None,
        description: Some(description.to_owned()),
        input_schema: json!({"type": "object", "properties": {"limit": {"maximum": 1.5}}}),
        output_schema: None,
        annotations: Some(json!({"readOnlyHint": true})),
    }
}

fn allowed() -> ToolRule {
    ToolRule { name: "read".to_owned(), allow: true, write: false, classification: Classification::Confidential }
}

/// A server comes back as it was stored; what is seen of its tools is stored apart from what is decided on them.
pub async fn an_mcp_server_is_stored_with_the_decisions_on_its_tools(context: &TestContext) -> CaseResult {
    let TestTenant { ada, .. } = context.create_tenant("a").await?;
    let by = Some(user_id(&ada)?);
    let mut server = context.new_mcp_server("cmms")?;
    let mut tx = context.begin(&ada).await?;
    tx.mcp_servers().insert(&server, by).await?;
    assert_eq!(tx.mcp_servers().get(server.id).await?.as_ref(), Some(&server));
    assert_eq!(tx.mcp_servers().with_allowed_tools().await?, []);
    server.replace_rules(vec![allowed()]);
    (server.url, server.sealed_token) = ("https://other.example".to_owned(), None);
    server.updated_at = context.advance_clock();
    assert!(tx.mcp_servers().update(&server, by).await?);
    tx.commit().await?;
    let mut tx = context.begin(&ada).await?;
    assert_eq!(tx.mcp_servers().by_name("cmms").await?.as_ref(), Some(&server));
    assert_eq!(tx.mcp_servers().with_allowed_tools().await?, std::slice::from_ref(&server));
    let mut locked = require(tx.mcp_servers().lock(server.id).await?)?;
    assert!(locked.sync_tools(&[definition("sends")]));
    tx.mcp_servers().save_tools(&locked).await?;
    tx.commit().await?;
    let mut tx = context.begin(&ada).await?;
    let stored = require(tx.mcp_servers().get(server.id).await?)?;
    assert_eq!((stored.tools[0].state(), &stored), (McpToolState::Changed, &locked));
    assert!(tx.mcp_servers().delete(server.id).await?);
    assert!(!tx.mcp_servers().delete(server.id).await? && !tx.mcp_servers().update(&server, by).await?);
    assert_eq!((tx.mcp_servers().get(server.id).await?, tx.mcp_servers().count().await?), (None, 0));
    Ok(())
}

/// A name is taken within a tenant only, and no method reaches another tenant's servers.
pub async fn mcp_servers_have_unique_names_and_belong_to_their_tenant(context: &TestContext) -> CaseResult {
    let (tenant_a, tenant_b) = (context.create_tenant("a").await?, context.create_tenant("b").await?);
    let first = context.new_mcp_server("cmms")?;
    let mut second = context.new_mcp_server("lab")?;
    second.replace_rules(vec![allowed()]);
    for server in [&first, &second] {
        let mut tx = context.begin(&tenant_a.ada).await?;
        tx.mcp_servers().insert(server, None).await?;
        tx.commit().await?;
    }
    let mut tx = context.begin(&tenant_a.ada).await?;
    let page = tx.mcp_servers().list(&PageRequest::default()).await?;
    assert_eq!(page.items.iter().map(|server| server.id).collect::<Vec<_>>(), [second.id, first.id]);
    assert!(tx.mcp_servers().insert(&context.new_mcp_server("cmms")?, None).await.is_err());
    drop(tx);
    let mut tx = context.begin(&tenant_b.ada).await?;
    assert_eq!(tx.mcp_servers().get(first.id).await?, None);
    assert_eq!(tx.mcp_servers().lock(first.id).await?, None);
    assert_eq!(tx.mcp_servers().by_name("cmms").await?, None);
    assert_eq!(tx.mcp_servers().with_allowed_tools().await?, []);
    assert_eq!(tx.mcp_servers().list(&PageRequest::default()).await?.items, []);
    assert!(!tx.mcp_servers().update(&first, None).await? && !tx.mcp_servers().delete(first.id).await?);
    tx.mcp_servers().insert(&context.new_mcp_server("cmms")?, None).await?;
    assert_eq!(tx.mcp_servers().count().await?, 1);
    tx.commit().await?;
    let mut tx = context.begin(&tenant_a.ada).await?;
    assert_eq!(tx.mcp_servers().count().await?, 2);
    Ok(())
}
