//! Error messages for OPC UA.

use crate::failure;
use domain::plant::ConnectorError;
use opcua::types::{Error, StatusCode};

/// The error of a failed request.
pub fn of(error: &Error) -> ConnectorError {
    of_status(error.status())
}

/// The error of a bad service status.
pub fn of_status(status: StatusCode) -> ConnectorError {
    let code = status.bits();
    let named = |words: &str| format!("{words} (0x{code:08X})");
    match without_info_bits(status) {
        StatusCode::BadUserAccessDenied => failure::access_denied(named("the account may not do this")),
        StatusCode::BadIdentityTokenRejected | StatusCode::BadIdentityTokenInvalid => {
            failure::access_denied(named("the server rejects user name, password or certificate"))
        }
        StatusCode::BadSecurityPolicyRejected => {
            failure::access_denied(named("the server does not take this kind of credential, or this policy"))
        }
        StatusCode::BadSecurityChecksFailed
        | StatusCode::BadCertificateUntrusted
        | StatusCode::BadCertificateInvalid
        | StatusCode::BadCertificateUriInvalid
        | StatusCode::BadCertificateUseNotAllowed
        | StatusCode::BadCertificateTimeInvalid => {
            failure::access_denied(named("the server does not trust the platform's certificate"))
        }
        StatusCode::BadTooManySessions => failure::unreachable(named("the server has no session left")),
        StatusCode::BadServerHalted | StatusCode::BadShutdown => failure::unreachable(named("the server is stopping")),
        StatusCode::BadCommunicationError | StatusCode::BadConnectionRejected => {
            failure::unreachable(named("no connection; is the server running, and are address and port right?"))
        }
        StatusCode::BadTcpEndpointUrlInvalid => {
            failure::unreachable(named("the name cannot be resolved, or the server does not know its endpoint"))
        }
        status if is_connection_lost(status) => failure::unreachable(named("the connection broke")),
        _ => failure::invalid_response(format!("{} (0x{code:08X})", status.sub_code().name())),
    }
}

/// Whether a request may succeed in a new session.
pub fn is_connection_lost(status: StatusCode) -> bool {
    matches!(
        without_info_bits(status),
        StatusCode::BadConnectionClosed
            | StatusCode::BadNotConnected
            | StatusCode::BadServerNotConnected
            | StatusCode::BadCommunicationError
            | StatusCode::BadSecureChannelClosed
            | StatusCode::BadSecureChannelIdInvalid
            | StatusCode::BadSecureChannelTokenUnknown
            | StatusCode::BadSessionClosed
            | StatusCode::BadSessionIdInvalid
            | StatusCode::BadSessionNotActivated
    )
}

fn without_info_bits(status: StatusCode) -> StatusCode {
    StatusCode::from(status.bits() & 0xFFFF_0000)
}
