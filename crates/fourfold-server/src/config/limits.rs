//! Sizes and times that no request goes beyond.

use std::time::Duration;

/// Sizes beyond which a request is refused with 413 `M_TOO_LARGE`, or 400 for depth and names.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// One request body.
    pub body: BodyLimits,
    /// The memory of requests and responses.
    pub memory: MemoryLimits,
    /// Bytes of a request line with its headers.
    pub head: usize,
    /// Connections at a time. One address has as many as are free, so half of them when it is alone;
    /// where [`trust_forwarded_for`](crate::NetworkConfig::trust_forwarded_for) says that a proxy is
    /// in front, it may have all.
    pub connections: usize,
    /// The timeout for receiving the head of a request, and then for its body.
    pub receive_timeout: Duration,
    /// The time for which a client may read nothing of a response that is ready.
    pub send_timeout: Duration,
    /// The longest that a sync waits, whatever the client asks.
    pub longest_poll: Duration,
}

impl Default for Limits {
    /// 16 KiB of head, 10,000 connections, 30 s each to send and to read, 2 min for a sync.
    fn default() -> Self {
        Self {
            body: BodyLimits::default(),
            memory: MemoryLimits::default(),
            head: 16 * 1024,
            connections: 10_000,
            receive_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_secs(30),
            longest_poll: Duration::from_secs(120),
        }
    }
}

/// The maximum size of a request body.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct BodyLimits {
    /// Bytes of one account-data content.
    pub account_data: usize,
    /// Bytes of one upload of room keys to the key backup.
    pub key_backup: usize,
    /// Bytes of any other request body.
    pub other: usize,
    /// Bytes of the body of a request that needs no session.
    pub of_stranger: usize,
    /// Objects and arrays inside each other.
    pub json_depth: usize,
}

impl Default for BodyLimits {
    /// 1 MiB of account data, 4 MiB of room keys, 256 KiB of body and 16 KiB without a session, depth
    /// 64.
    fn default() -> Self {
        Self {
            account_data: 1024 * 1024,
            key_backup: 4 * 1024 * 1024,
            other: 256 * 1024,
            of_stranger: 16 * 1024,
            json_depth: 64,
        }
    }
}

/// The memory that bodies and responses of slow clients may take.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct MemoryLimits {
    /// Bytes of large request bodies that are being received or processed, of all users together.
    /// Beyond it slow ones are refused.
    pub bodies: usize,
    /// The same of one user, or of one address without a session, who is answered 429 beyond it. One
    /// body is always possible.
    pub bodies_per_user: usize,
    /// Bytes of large answers that wait for their readers, of everyone together. Beyond it those that
    /// are read slowly break off.
    pub unread_answers: usize,
    /// The same of one user, who is answered 429 beyond it. One answer is always possible.
    pub unread_answers_per_user: usize,
}

impl Default for MemoryLimits {
    /// 64 MiB of bodies and 16 MiB of a user, 64 MiB of answers and 32 MiB of a user.
    fn default() -> Self {
        Self {
            bodies: 64 * 1024 * 1024,
            bodies_per_user: 16 * 1024 * 1024,
            unread_answers: 64 * 1024 * 1024,
            unread_answers_per_user: 32 * 1024 * 1024,
        }
    }
}
