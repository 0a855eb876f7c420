//! Why a request was not done, in Matrix's words.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use crate::store::StoreError;

/// Why a request was not done: an HTTP status, an `errcode` and a sentence for people.
///
/// Not `ruma`'s error type: that one ties the status to its own reading of the code, has no room for
/// `M_BAD_JSON` under 405, and cannot carry the flows of user-interactive authentication beside an
/// `errcode`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MatrixError {
    /// 401: the request has no access token.
    #[error("missing access token")]
    MissingToken,
    /// 401: the access token opens nothing. `soft_logout` when a refresh or a new login on the same
    /// device brings everything back.
    #[error("unknown access token")]
    UnknownToken { soft_logout: bool },
    /// 401: user-interactive authentication is to be done or went wrong; the body says how to continue.
    #[error("user-interactive authentication is required")]
    Interactive(serde_json::Value),
    /// 403.
    #[error("{0}")]
    Forbidden(&'static str),
    /// 404: the path is known, what it names is not.
    #[error("{0}")]
    NotFound(&'static str),
    /// 404: the path is unknown.
    #[error("unrecognized request")]
    UnknownPath,
    /// 405: the path is known, the method is not.
    #[error("unrecognized method")]
    UnknownMethod,
    /// 405 `M_BAD_JSON`: account data that the server writes itself.
    #[error("this type of account data is managed by the server")]
    ServerManaged,
    /// 400: the body is not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// 400: the body is JSON but not what is asked for.
    #[error("{0}")]
    BadJson(Cow<'static, str>),
    /// 400: something is not there.
    #[error("missing {0}")]
    MissingParam(&'static str),
    /// 400: something is there and wrong.
    #[error("{0}")]
    InvalidParam(&'static str),
    /// 400: a signature is missing or does not match.
    #[error("{0}")]
    InvalidSignature(&'static str),
    /// 400: the user name has other characters, or too many.
    #[error("the user name is empty, too long or has characters outside a-z 0-9 . _ = - / +")]
    InvalidUsername,
    /// 400: the user name is taken.
    #[error("the user name is taken")]
    UserInUse,
    /// 400: the password may not be used.
    #[error("the password is empty or too long")]
    WeakPassword,
    /// 400 `M_UNKNOWN`.
    #[error("{0}")]
    Unknown(&'static str),
    /// 400: chunks and a length in one request.
    #[error("the request gives its length twice, in chunks and in Content-Length")]
    TwoLengths,
    /// 408: the body did not arrive in time.
    #[error("the request took too long to arrive")]
    Timeout,
    /// 403: the keys are for a version of the backup that is not the current one.
    #[error("the current version of the key backup is a different one")]
    WrongBackupVersion { current: u64 },
    /// 412: somebody else wrote first.
    #[error("the stored content has changed; read it again")]
    ConcurrentWrite,
    /// 413.
    #[error("{0}")]
    TooLarge(Cow<'static, str>),
    /// 429.
    #[error("too many requests")]
    LimitExceeded { retry_after: Duration },
    /// 429: too many messages wait for a device of another user.
    #[error(
        "too many messages of other users wait for a device; what it has no room for was not delivered"
    )]
    InboxFull { retry_after: Duration },
    /// 507: too many messages wait for one of the user's own devices.
    #[error(
        "too many messages wait for one of your devices; use that device or delete it; the other \
         devices received theirs"
    )]
    OwnInboxFull,
    /// 503: too many large requests and answers are on their way.
    #[error("the server is overloaded; try again later")]
    Busy { retry_after: Duration },
    /// 507: the disk is full.
    #[error("the server has no room left to store anything; nothing was changed")]
    NoRoom,
    /// 503: the cause is in the log, not in the answer.
    #[error("the database of the server is unavailable; try again later")]
    Unavailable,
    /// 503: shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// 500: the cause is in the log, not in the answer.
    #[error("internal error")]
    Internal,
}

impl MatrixError {
    /// The status and the `errcode`.
    pub(crate) fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::MissingToken => (StatusCode::UNAUTHORIZED, "M_MISSING_TOKEN"),
            Self::UnknownToken { .. } => (StatusCode::UNAUTHORIZED, "M_UNKNOWN_TOKEN"),
            Self::Interactive(_) => (StatusCode::UNAUTHORIZED, "M_FORBIDDEN"),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "M_FORBIDDEN"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "M_NOT_FOUND"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "M_UNRECOGNIZED"),
            Self::UnknownMethod => (StatusCode::METHOD_NOT_ALLOWED, "M_UNRECOGNIZED"),
            Self::ServerManaged => (StatusCode::METHOD_NOT_ALLOWED, "M_BAD_JSON"),
            Self::NotJson => (StatusCode::BAD_REQUEST, "M_NOT_JSON"),
            Self::BadJson(_) => (StatusCode::BAD_REQUEST, "M_BAD_JSON"),
            Self::MissingParam(_) => (StatusCode::BAD_REQUEST, "M_MISSING_PARAM"),
            Self::InvalidParam(_) => (StatusCode::BAD_REQUEST, "M_INVALID_PARAM"),
            Self::InvalidSignature(_) => (StatusCode::BAD_REQUEST, "M_INVALID_SIGNATURE"),
            Self::InvalidUsername => (StatusCode::BAD_REQUEST, "M_INVALID_USERNAME"),
            Self::UserInUse => (StatusCode::BAD_REQUEST, "M_USER_IN_USE"),
            Self::WeakPassword => (StatusCode::BAD_REQUEST, "M_WEAK_PASSWORD"),
            Self::Unknown(_) | Self::TwoLengths => (StatusCode::BAD_REQUEST, "M_UNKNOWN"),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "M_UNKNOWN"),
            Self::WrongBackupVersion { .. } => (StatusCode::FORBIDDEN, "M_WRONG_ROOM_KEYS_VERSION"),
            Self::ConcurrentWrite => (StatusCode::PRECONDITION_FAILED, "M_CONCURRENT_WRITE"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "M_TOO_LARGE"),
            Self::LimitExceeded { .. } | Self::InboxFull { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "M_LIMIT_EXCEEDED")
            }
            Self::OwnInboxFull => (
                StatusCode::INSUFFICIENT_STORAGE,
                "M_RESOURCE_LIMIT_EXCEEDED",
            ),
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN"),
            Self::NoRoom => (StatusCode::INSUFFICIENT_STORAGE, "M_UNKNOWN"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN"),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN"),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "M_UNKNOWN"),
        }
    }

    /// Returns `true` if the request was refused for what it costs. Who makes such a one again and
    /// again waits for each answer.
    pub(crate) fn is_held_back(&self) -> bool {
        matches!(
            self,
            Self::LimitExceeded { .. }
                | Self::InboxFull { .. }
                | Self::Busy { .. }
                | Self::TooLarge(_)
        )
    }
}

impl From<StoreError> for MatrixError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::UserInUse => Self::UserInUse,
            StoreError::NoSuchUser => Self::UnknownToken { soft_logout: false },
            StoreError::Quota(what) => Self::TooLarge(format!("too many {what}").into()),
            StoreError::NoSuchBackup => {
                Self::NotFound("there is no such version of the key backup")
            }
            StoreError::NotCurrentBackup(current) => Self::WrongBackupVersion { current },
            StoreError::DeviceIdTaken => {
                Self::Forbidden("the device ID is one of your cross-signing keys")
            }
            StoreError::NoSuchDevice => Self::UnknownToken { soft_logout: false },
            StoreError::KeyInUse => {
                Self::Unknown("a one-time key with this ID exists already and is another")
            }
            StoreError::Changed => Self::ConcurrentWrite,
            StoreError::Closed => Self::ShuttingDown,
            StoreError::Full => Self::NoRoom,
            StoreError::Unavailable(cause) => {
                tracing::warn!(%cause, "a request was refused: the database is unavailable");
                Self::Unavailable
            }
        }
    }
}
