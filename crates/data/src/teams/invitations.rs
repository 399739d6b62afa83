//! The statements on invitations: of the hosting tenant, and of the guest's tenant.

use super::rows::{InvitationRow, ReceivedInvitationRow, invitation_columns, received_invitation_columns};
use crate::statement::{Scalar, Statement, statements};
use uuid::Uuid;

statements! {
    pub(super) INSERT_INVITATION: () = Statement::insert(
        "team_invitations",
        "storing an invitation",
        "INSERT INTO team_invitations (id, tenant_id, team_id, invited_by, guest_tenant, email, guest_tenant_id,
                                       guest_id, status, created_at, expires_at)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    );
    pub(super) LOCK_INVITATION: InvitationRow = Statement::select(
        "team_invitations",
        "locking an invitation",
        concat!("SELECT ", invitation_columns!(), " FROM team_invitations WHERE id = $1 FOR UPDATE"),
    );
    pub(super) ANSWER_INVITATION: () = Statement::update(
        "team_invitations",
        "answering an invitation",
        "UPDATE team_invitations SET guest_id = $2, status = $3
         WHERE id = $1 AND (guest_id IS NULL OR guest_id = $2) AND status = 'pending'",
    );
    pub(super) VOID_INVITATIONS: () = Statement::update(
        "team_invitations",
        "voiding invitations",
        "UPDATE team_invitations AS i SET status = 'voided'
         WHERE i.team_id = $1 AND i.status IN ('pending', 'accepted')
           AND (i.guest_id = $2 OR i.guest_id IS NULL AND EXISTS (
                   SELECT FROM users AS u
                   WHERE u.tenant_id = i.tenant_id AND u.id = $2 AND u.home_tenant_id = i.guest_tenant_id
                     AND u.email <> '' AND lower(u.email) = lower(i.email)))",
    );
    pub(super) FIND_BY_EMAIL: Scalar<Uuid> = Statement::select(
        "users",
        "looking for a user by email address",
        "SELECT id FROM users WHERE lower(email) = lower($1) AND is_active ORDER BY id LIMIT 2",
    );
    pub(super) INSERT_RECEIVED_INVITATION: () = Statement::insert(
        "team_links",
        "storing an invitation in the guest's tenant",
        "INSERT INTO team_links (invitation_id, tenant_id, user_id, email, host_tenant_id, team_id, team_name, status,
                                 created_at, expires_at)
         VALUES ($1, app_tenant(), $2, $3, $4, $5, $6, $7, $8, $9)",
    );
    pub(super) CLAIM_RECEIVED_INVITATIONS: () = Statement::update(
        "team_links",
        "claiming invitations in the guest's tenant",
        "UPDATE team_links SET user_id = $1
         WHERE user_id IS NULL AND status = 'pending' AND $2 <> '' AND lower(email) = lower($2)
           AND (SELECT count(*) FROM users AS u WHERE lower(u.email) = lower($2) AND u.is_active) = 1",
    );
    pub(super) RECEIVED_INVITATIONS: ReceivedInvitationRow = Statement::select(
        "team_links",
        "listing invitations in the guest's tenant",
        concat!(
            "SELECT ",
            received_invitation_columns!(),
            " FROM team_links WHERE user_id = $1 ORDER BY created_at DESC, invitation_id DESC LIMIT 200"
        ),
    );
    pub(super) RECEIVED_INVITATION: ReceivedInvitationRow = Statement::select(
        "team_links",
        "reading an invitation in the guest's tenant",
        concat!(
            "SELECT ",
            received_invitation_columns!(),
            " FROM team_links WHERE invitation_id = $1 AND user_id = $2"
        ),
    );
    pub(super) ANSWER_RECEIVED_INVITATION: () = Statement::update(
        "team_links",
        "answering an invitation in the guest's tenant",
        "UPDATE team_links SET status = $2 WHERE invitation_id = $1 AND status = 'pending'",
    );
    pub(super) VOID_RECEIVED_INVITATIONS: () = Statement::update(
        "team_links",
        "voiding invitations in the guest's tenant",
        "UPDATE team_links AS l SET status = 'voided'
         WHERE l.team_id = $1 AND l.status IN ('pending', 'accepted')
           AND (l.user_id = $2 OR l.user_id IS NULL AND EXISTS (
                   SELECT FROM users AS u
                   WHERE u.tenant_id = l.tenant_id AND u.id = $2
                     AND u.email <> '' AND lower(u.email) = lower(l.email)))",
    );
}
