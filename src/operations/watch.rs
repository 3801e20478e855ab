//! A watch of one operation.

use futures::{Stream, StreamExt, stream};

use super::Operation;
use crate::{base::Result, streams::Message};

/// The messages of a watch of one operation up to its end. `has_ended` says whether it had ended when the watch was opened.
pub fn until_ended(
    messages: impl Stream<Item = Result<Message<Operation>>> + Send + 'static,
    has_ended: bool,
) -> impl Stream<Item = Result<Message<Operation>>> + Send + 'static {
    stream::unfold(Some(Box::pin(messages)), move |messages| async move {
        let mut messages = messages?;
        let message = messages.next().await?;
        let is_last = match &message {
            Ok(Message::Current(operation) | Message::Changed { state: operation, .. }) => operation.state.is_final(),
            // A client that resumes has received the end already.
            Ok(Message::Bookmark(_)) => has_ended,
            Ok(Message::Deleted { .. }) | Err(_) => true,
        };
        Some((message, (!is_last).then_some(messages)))
    })
}
