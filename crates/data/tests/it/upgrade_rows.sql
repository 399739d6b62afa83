-- Rows for the test that migrates every earlier schema. `$1` is a tenant's id, which also serves as the id of its user,
-- conversation, document and answer. Each section is run for one tenant after the other, in the schemas that its heading
-- names: `since` the migration that made it possible, `until` the one that made it impossible.

-- since 2
INSERT INTO tenants (id, name, slug, config)
    VALUES ($1, $1::text, 'tenant-' || right($1::text, 1), '{"language": "german"}');
INSERT INTO users (id, tenant_id, issuer, external_id, email, role, grants)
    VALUES ($1, $1, 'issuer', 'subject', 'eva@example.com', 'admin', '{auditor}');
INSERT INTO sign_in_tokens (tenant_id, token_hash, user_id, expires_at) VALUES ($1, 'hash', $1, '2036-01-01');
INSERT INTO teams (id, tenant_id, name, slug) VALUES ($1, $1, 'Maintenance', 'maintenance');
INSERT INTO team_memberships (tenant_id, team_id, user_id) VALUES ($1, $1, $1);

-- since 3
INSERT INTO conversations (id, tenant_id, user_id, title, next_seq) VALUES ($1, $1, $1, 'Pump P-101', 3);
INSERT INTO messages (tenant_id, conversation_id, user_id, seq, role, content)
    VALUES ($1, $1, $1, 1, 'user', 'At which pressure does P-101 trip?');
INSERT INTO messages (id, tenant_id, conversation_id, user_id, seq, role, content, citations)
    VALUES ($1, $1, $1, $1, 2, 'assistant', 'At 16 bar [1].', jsonb_build_array(jsonb_build_object('document_id', $1)));
INSERT INTO memories (tenant_id, user_id, content, embedding, embedding_model, tags)
    VALUES ($1, $1, 'Works the night shift.', '[0.5, -0.75]', 'model', '{shift}');

-- since 4
INSERT INTO documents (id, tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256, storage_path,
                       classification, status, chunk_count, metadata)
    VALUES ($1, $1, $1, 'p-101.md', 'P-101', 'text/markdown', 7, repeat('0', 64), 'path', 'confidential', 'ready', 1,
            '{"plant": "north"}');
INSERT INTO document_chunks (tenant_id, document_id, chunk_index, content, classification, embedding, embedding_model)
    VALUES ($1, $1, 0, 'P-101 trips at 16 bar.', 'confidential', '[0.5, -0.75]', 'model');

-- since 4 until 9
INSERT INTO document_terms (tenant_id, document_id, lexeme, chunk_indexes, frequencies, lengths)
    VALUES ($1, $1, 'trip', '{0}', '{1}', '{5}');

-- since 5
INSERT INTO audit_logs (id, tenant_id, user_id, event_type, phase, result_status, correlation_id, metadata)
    VALUES ($1, $1, $1, 'doc.read', 'intent', 'pending', $1, '{"n": 1.50}');
INSERT INTO audit_logs (tenant_id, user_id, event_type, phase, result_status, correlation_id)
    VALUES ($1, $1, 'doc.read', 'outcome', 'success', $1);
INSERT INTO audit_logs (tenant_id, user_id, event_type, phase, result_status)
    VALUES ($1, $1, 'chat.request', 'intent', 'pending');

-- since 6
INSERT INTO jobs (tenant_id, document_id, attempts) VALUES ($1, $1, 2);

-- since 8
INSERT INTO documents (tenant_id, uploaded_by, filename, title, mime_type, file_size_bytes, sha256, storage_path,
                       revision, supersedes, warnings)
    VALUES ($1, $1, 'p-101-b.md', 'P-101', 'text/markdown', 8, repeat('1', 64), 'path-b', 'B', $1, '["page 2: a picture"]');

-- since 9
INSERT INTO document_terms (tenant_id, document_id, lexeme, chunk_indexes, frequencies, lengths, embedding_model)
    VALUES ($1, $1, 'trip', '{0}', '{1}', '{5}', 'model');

-- since 10
INSERT INTO job_turns (tenant_id, served_at) VALUES ($1, now());

-- since 11
SELECT * FROM audit_seal(100);
INSERT INTO audit_checkpoints (tenant_id, seq, chain_hash, at, key_id, signature)
    SELECT tenant_id, seq, chain_hash, now(), 'key', sha512('signature') FROM audit_chain
    WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1;
INSERT INTO audit_retirements (tenant_id, through_seq, chain_hash, before, rows, at, key_id, signature)
    VALUES ($1, 0, sha256('start'), '2026-01-01', 0, now(), 'key', sha512('signature'));

-- since 11
INSERT INTO audit_logs (tenant_id, user_id, event_type, phase) VALUES ($1, $1, 'auth.login', 'event');

-- since 12
INSERT INTO access_tokens (id, tenant_id, user_id, name, token_hash, scopes, expires_at)
    VALUES ($1, $1, $1, 'script', md5($1::text), '{chat}', '2036-01-01');
INSERT INTO tenant_mappings (tenant_id, issuer, claim_value) VALUES ($1, 'issuer', $1::text);

-- since 13
INSERT INTO idempotency_keys (tenant_id, user_id, key_hash, fingerprint, state, status, body, created_at, expires_at)
    VALUES ($1, $1, 'key', 'fingerprint', 'done', 201, '{}', now(), '2036-01-01');

-- since 14
UPDATE tenants SET config = config || '{"instructions": "Answer in German."}' WHERE id = $1;
INSERT INTO tenant_token_usage (tenant_id, day, input_tokens, output_tokens) VALUES ($1, '2026-01-01', 5, 7);

-- since 15
INSERT INTO model_calls (id, tenant_id, user_id, request_id, operation, backend, requested_model, model, fallback, status,
                         input_tokens, output_tokens, estimated, metered, cost_micros, took_ms, created_at)
    VALUES ($1, $1, $1, 'request', 'chat', 'local', 'fast', 'model', false, 'ok', 11, 13, false, true, 17, 19,
            '2026-01-02 12:00+00');
INSERT INTO budget_reservations (id, tenant_id, user_id, tokens, cost_micros, created_at, expires_at)
    VALUES ($1, $1, $1, 100, 0, now(), '2036-01-01');

-- since 18
INSERT INTO document_tombstones (tenant_id, document_id, classification) VALUES ($1, gen_random_uuid(), 'restricted');

-- since 21
INSERT INTO message_feedback (tenant_id, message_id, user_id, rating, comment) VALUES ($1, $1, $1, 'up', 'Right.');

-- since 22
INSERT INTO sessions (id, tenant_id, user_id, client, created_at, last_seen_at, expires_at)
    VALUES ($1, $1, $1, 'browser', now(), now(), '2036-01-01');

-- since 30
INSERT INTO run_events (tenant_id, run_id, user_id, conversation_id, message_id, instance, first_seq, last_seq, events,
                        content, classification)
    VALUES ($1, $1, $1, $1, $1, $1, 1, 1, '[{"type": "token"}]', 'At 16 bar', 'confidential');

-- since 40
INSERT INTO approval_policies (tenant_id, tool, version, terms, updated_by, updated_at)
    VALUES ($1, 'plant_system_write', 1, '{"quorum": 1}', $1, now());
INSERT INTO approvals (id, tenant_id, tool, tool_version, target, arguments, preview, digest, requested_by,
                       conversation_id, policy_version, terms, expires_at, created_at, updated_at)
    VALUES ($1, $1, 'plant_system_write', 1, 'P-101', '{"priority": 2}', '{"title": "Seal"}',
            'sha256:' || repeat('0', 64), $1, $1, 1, '{"quorum": 1}', '2036-01-01', now(), now());
WITH approver AS (
    INSERT INTO users (tenant_id, issuer, external_id) VALUES ($1, 'issuer', 'approver') RETURNING id
)
INSERT INTO approval_decisions (tenant_id, approval_id, user_id, decision, decided_at)
    SELECT $1, $1, id, 'approve', now() FROM approver;
INSERT INTO work_orders (id, tenant_id, external_reference, target, title, description, priority, requested_by, created_at)
    VALUES ($1, $1, $1::text, 'P-101', 'Seal', 'Change the seal.', 2, $1, now());
INSERT INTO plant_mode (tenant_id, mode, reason, changed_by, changed_at) VALUES ($1, 'read_only', 'Turnaround', $1, now());

-- since 42
INSERT INTO maintenance_systems (tenant_id, kind, options, sealed_secret, updated_by, updated_at)
    VALUES ($1, 'rest', '{"base_url": "https://cmms.example"}', decode(repeat('00', 40), 'hex'), $1, now());
-- since 41
INSERT INTO channels (id, tenant_id, name, kind, config, sealed, created_by, created_at, updated_at)
    VALUES ($1, $1, 'shift', 'webhook', '{"url": "https://hooks.example/"}', '\x01', $1, now(), now());
INSERT INTO channel_deliveries (id, tenant_id, channel_id, approval_id, event, facts, next_attempt_at, created_at)
    VALUES ($1, $1, $1, $1, 'approval.requested', '{"event": "approval.requested"}', now(), now());

-- since 45
INSERT INTO mcp_servers (id, tenant_id, name, url, sealed_token, tools, has_allowed, updated_by, created_at, updated_at)
    VALUES ($1, $1, 'cmms', 'https://cmms.example/mcp', '\x01', '[]', false, $1, now(), now());
-- since 43
INSERT INTO connectors (id, tenant_id, name, kind, endpoint, config, classification, stale_after_s, record_interval_s,
                        record_keep_days, enabled, revision, created_at, updated_at)
    VALUES ($1, $1, 'plc7', 'opcua', 'opc.tcp://plc7:4840', '{}', 'internal', 60, 60, 90, true, 1, now(), now());
INSERT INTO tags (id, tenant_id, connector_id, name, normalized_name, address, unit, terms, search_text)
    VALUES ($1, $1, $1, 'PIT-1001', 'pit1001', 'ns=2;s=PIT-1001', 'bar', '{pit1001}', 'pit-1001');
INSERT INTO plant_requests (id, tenant_id, connector_id, kind, question, clearance, created_at, expires_at)
    VALUES ($1, $1, $1, 'check', '{"ask": "check"}', 'internal', now(), now());
INSERT INTO tag_samples (tenant_id, tag_id, sample, received_at) VALUES ($1, $1, '{"quality": "good"}', now());

-- since 44
INSERT INTO recorded_samples (tenant_id, tag_id, at, number, quality, stale)
    VALUES ($1, $1, '2026-01-01', 20.2, 'good', false);

-- since 48
INSERT INTO glossary_versions (tenant_id, version, concepts, changed_by, changed_at)
    VALUES ($1, 1, '[{"name": "isolation", "terms": {"de": ["Freischaltschein"]}}]', $1, now());

-- since 51
INSERT INTO agents (tenant_id, name, description, instructions, tools, model, updated_by, created_at, updated_at)
    VALUES ($1, 'seal_expert', 'Knows seals.', 'Name the plan.', '{rag_search}', 'auto', $1, now(), now());
INSERT INTO goals (id, tenant_id, user_id, objective, approval, scopes, event_seq, created_at, updated_at)
    VALUES ($1, $1, $1, 'Compare the limits.', 'required', '{goals:create}', 1, now(), now());
INSERT INTO goal_plans (tenant_id, goal_id, user_id, version, steps, author, created_at)
    VALUES ($1, $1, $1, 1, '[]', 'planner', now());
INSERT INTO goal_steps (tenant_id, goal_id, user_id, id, position, title, agent, instruction, due_at)
    VALUES ($1, $1, $1, 'a', 0, 'Find', 'document_analyst', 'Find the limits.', now());
INSERT INTO goal_events (tenant_id, goal_id, user_id, seq, kind, data, created_at)
    VALUES ($1, $1, $1, 1, 'goal.status', '{"status": "planning"}', now());

-- since 52
INSERT INTO team_invitations (id, tenant_id, team_id, invited_by, guest_tenant, email, created_at, expires_at)
    VALUES ($1, $1, $1, $1, 'services', 'ines@services.example', '2026-01-01', '2026-01-15');
INSERT INTO team_links (invitation_id, tenant_id, user_id, email, host_tenant_id, team_id, team_name, created_at,
                        expires_at)
    VALUES ($1, $1, $1, 'eva@example.com', $1, $1, 'Turnaround', '2026-01-01', '2026-01-15');
