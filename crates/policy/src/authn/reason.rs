//! Why a token was refused: one code per check, for the log and the audit row.

/// Why a token was refused. The caller learns only that it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "each name is its check; `code` has the words")]
pub enum Reason {
    Missing,
    TooLarge,
    Malformed,
    Crit,
    HeaderKey,
    Type,
    Algorithm,
    Issuer,
    KeyId,
    UnknownKey,
    KeyType,
    NoKeys,
    HighS,
    Signature,
    Expiry,
    Expired,
    NotYet,
    IssuedInFuture,
    Audience,
    RequiredClaim,
    Version,
    Kind,
    Subject,
    TooLongAgo { max_age_s: u32 },
    AccessTokenUnknown,
    AccessTokenExpired,
    AccessTokenRevoked,
    AccessTokenNoLogin,
    AccessTokenLoginTooOld,
    AccessTokenIssuer,
    AccessTokenRequiredClaim,
    AccessTokenTooLongAgo,
    AccessTokenUnmapped,
    AccessTokenGroups,
    AccessTokenGuest,
    AccessTokenScope,
    AccessTokenRole,
}

impl Reason {
    /// The code in log and audit.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "token_missing",
            Self::TooLarge => "token_too_large",
            Self::Malformed => "token_malformed",
            Self::Crit => "header_crit",
            Self::HeaderKey => "header_key",
            Self::Type => "header_typ",
            Self::Algorithm => "algorithm_not_allowed",
            Self::Issuer => "issuer_unknown",
            Self::KeyId => "key_id_missing",
            Self::UnknownKey => "key_unknown",
            Self::KeyType => "key_type_mismatch",
            Self::NoKeys => "keys_unavailable",
            Self::HighS => "signature_high_s",
            Self::Signature => "signature_invalid",
            Self::Expiry => "expiry_invalid",
            Self::Expired => "token_expired",
            Self::NotYet => "token_not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::Audience => "audience_mismatch",
            Self::RequiredClaim => "required_claim_mismatch",
            Self::Version => "token_version",
            Self::Kind => "not_an_access_token",
            Self::Subject => "subject_missing",
            Self::TooLongAgo { .. } => "authenticated_too_long_ago",
            Self::AccessTokenUnknown => "access_token_unknown",
            Self::AccessTokenExpired => "access_token_expired",
            Self::AccessTokenRevoked => "access_token_revoked",
            Self::AccessTokenNoLogin => "access_token_without_login",
            Self::AccessTokenLoginTooOld => "access_token_login_too_old",
            Self::AccessTokenIssuer => "access_token_issuer_unknown",
            Self::AccessTokenRequiredClaim => "access_token_required_claim_mismatch",
            Self::AccessTokenTooLongAgo => "access_token_authenticated_too_long_ago",
            Self::AccessTokenUnmapped => "access_token_tenant_unmapped",
            Self::AccessTokenGroups => "access_token_groups_overage",
            Self::AccessTokenGuest => "access_token_guest_refused",
            Self::AccessTokenScope => "access_token_insufficient_scope",
            Self::AccessTokenRole => "access_token_role_lowered",
        }
    }
}

/// A refused token, with what may be logged of it: the configured issuer that it names, its key id and its own id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The check that said no.
    pub reason: Reason,
    /// The trusted issuer that it names, if it names one.
    pub issuer: Option<String>,
    /// Its `kid`, if that is plain text.
    pub key_id: Option<String>,
    /// Its own id (`jti`, Entra's `uti`), if that is plain text. Not verified where the signature was not.
    pub token_id: Option<String>,
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self { reason, issuer: None, key_id: None, token_id: None }
    }
}

/// Text from a token that may stand in a log line: short, visible ASCII.
pub fn loggable(text: &str) -> Option<String> {
    let plain = text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic());
    (plain && !text.is_empty()).then(|| text.to_owned())
}
