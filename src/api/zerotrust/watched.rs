//! Watches of signed artifacts.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use futures::{Stream, StreamExt};

use super::artifacts::envelope;
use crate::{
    api::Streams,
    base::{Cx, Result, TenantScope},
    edge::{self, Event, Topic},
    proto::zerotrust::v1::WatchedArtifact,
    store::apart,
};

/// The events of a topic, after what the client has. Fails if the caller has too many streams.
pub(super) fn watch(
    cx: &Cx,
    streams: &Streams,
    of: (TenantScope, Topic),
    resume: String,
) -> Result<impl Stream<Item = Result<WatchedArtifact>> + Send + 'static + use<>> {
    let events = edge::watch(cx, &streams.board, of, resume, streams.standing.rights_lost(cx))?;
    Ok(events.map(|event| event.and_then(|(event, resume)| shown(event, resume))))
}

/// The events of the bundle of revocations, each with those after what the client has: at first the bundle of a sequence. Fails as
/// [`watch`] does.
pub(super) fn watch_deltas(
    cx: &Cx,
    streams: &Streams,
    scope: TenantScope,
    resume: String,
    sequence: i64,
) -> Result<impl Stream<Item = Result<WatchedArtifact>> + Send + 'static + use<>> {
    let events = edge::watch(cx, &streams.board, (scope, Topic::SpcBundle), resume, streams.standing.rights_lost(cx))?;
    let (deltas, has) = (streams.deltas.clone(), Arc::new(AtomicI64::new(sequence)));
    Ok(events.then(move |event| {
        let (deltas, has) = (deltas.clone(), has.clone());
        async move {
            let (event, resume) = event?;
            let Event::State(material) = event else { return shown(event, resume) };
            // The events of a stream come one after the other.
            let (sequence, digest) = (has.load(Ordering::Relaxed), material.digest.clone());
            let delta = apart(async move { deltas.to(scope, sequence, digest).await }).await?;
            has.store(delta.sequence, Ordering::Relaxed);
            Ok(WatchedArtifact {
                r#type: "state".to_owned(),
                version: Some(delta.sequence),
                envelope: Some(envelope(&delta.envelope)?),
                resume,
                reconnect_after_ms: None,
            })
        }
    }))
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
