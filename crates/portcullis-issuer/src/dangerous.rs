//! Every way to weaken sessions, each named for what is lost.
//!
//! Nothing outside this module takes a setting beyond the bounds that its setter documents.
use core::time::Duration;

use crate::sessions::RetryWindow;

/// A retry window that is longer than a tenth of an access token's life, for
/// [`SessionsBuilder::retry_window`](crate::SessionsBuilder::retry_window): for tests whose access tokens live for seconds.
///
/// Lost: that a thief is found out soon. Two who hold one session, and each refresh once in the life of an access token, come
/// within the window more often than not. They are not told apart then, and both go on. A window of more than 60 s is
/// refused all the same.
pub fn long_retry_window(window: Duration) -> RetryWindow {
    RetryWindow { window, is_dangerous: true }
}
