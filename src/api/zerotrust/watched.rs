//! Watches of signed artifacts.

use futures::{Stream, StreamExt};

use super::artifacts::envelope;
use crate::{
    api::Streams,
    base::{Cx, Result, TenantScope},
    edge::{self, Event, Topic},
    proto::zerotrust::v1::WatchedArtifact,
};

/// The events of a topic, after what the client has. Fails if the device or gateway that calls has too many streams.
pub(super) fn watch(
    cx: &Cx,
    streams: &Streams,
    of: (TenantScope, Topic),
    resume: String,
) -> Result<impl Stream<Item = Result<WatchedArtifact>> + Send + 'static + use<>> {
    let events = edge::watch(cx, &streams.board, of, resume, streams.standing.rights_lost(cx))?;
    Ok(events.map(|event| event.and_then(|(event, resume)| shown(event, resume))))
}

fn shown(event: Event, resume: String) -> Result<WatchedArtifact> {
    let bare = |kind: &str| WatchedArtifact { r#type: kind.to_owned(), resume, ..WatchedArtifact::default() };
    Ok(match event {
        Event::State(material) => WatchedArtifact {
            version: Some(material.number),
            envelope: Some(envelope(&material.envelope)?),
            ..bare("state")
        },
        Event::Bookmark => bare("bookmark"),
        Event::Drain { reconnect_after } => {
            let milliseconds = i64::try_from(reconnect_after.as_millis()).unwrap_or(i64::MAX);
            WatchedArtifact { reconnect_after_ms: Some(milliseconds), ..bare("drain") }
        }
    })
}
