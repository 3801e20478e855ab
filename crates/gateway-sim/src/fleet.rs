//! A number of gateways that run in this process.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::{task::JoinSet, time::sleep};
use tonic::transport::Channel;

use crate::{Clock, End, Enrolled, Gateway, Meter, Progress, Route, enroll};

/// How a fleet runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where to enroll, and where the streams are unless there is `mutual`.
    pub server: Route,
    /// The URL of the listener that asks for certificates. With it, each gateway has a connection of its own.
    pub mutual: Option<String>,
    /// The number of streams on each connection, without `mutual`.
    pub streams_per_connection: usize,
    /// The clocks of the gateways.
    pub clock: Clock,
    /// How long gateways that are refused wait before they try again; `None` for not at all.
    pub retry_refused: Option<Duration>,
    /// How often each gateway reports; `None` for not at all.
    pub metering: Option<Duration>,
}

/// How many gateways enroll at the same time.
const ENROLLING: usize = 16;

/// Gateways with open streams. They stop when it is dropped.
#[derive(Debug)]
pub struct Fleet {
    /// The ids of the gateways, by their numbers.
    pub ids: Vec<String>,
    /// What they have applied.
    pub progress: Arc<Progress>,
    tasks: JoinSet<()>,
    _meters: JoinSet<()>,
}

impl Plan {
    /// A plan for gateways with right clocks that call a server, ten of them on each connection.
    pub fn of(server: Route) -> Self {
        let clock = Clock::default();
        Self { server, mutual: None, streams_per_connection: 10, clock, retry_refused: None, metering: None }
    }

    /// Enrolls gateways with a token that may be used that often.
    pub async fn enroll(&self, token: &str, gateways: usize) -> Result<Vec<Enrolled>> {
        let channel = self.server.channel(None)?;
        let enrolled = stream::iter(0..gateways).map(|number| {
            let channel = channel.clone();
            async move { enroll(channel, token, &format!("sim-{number}"), self.clock).await }
        });
        enrolled.buffered(ENROLLING).try_collect().await
    }

    /// Opens the streams of gateways.
    pub fn start(&self, enrolled: Vec<Enrolled>) -> Result<Fleet> {
        let (progress, mut tasks, mut meters) = (Arc::new(Progress::default()), JoinSet::new(), JoinSet::new());
        let ids = enrolled.iter().map(|enrolled| enrolled.id.clone()).collect();
        let mut shared: Option<Channel> = None;
        for (number, enrolled) in enrolled.into_iter().enumerate() {
            let (channel, url) = match &self.mutual {
                Some(url) => {
                    let route = Route::new(url, enrolled.server_authorities()).context("cannot use the listener")?;
                    (route.with_clock(self.clock).channel(Some(&enrolled.identity))?, None)
                }
                None => {
                    if number % self.streams_per_connection.max(1) == 0 {
                        shared = Some(self.server.channel(None)?);
                    }
                    let channel = shared.clone().context("a connection is missing")?;
                    (channel, Some(self.server.url().to_owned()))
                }
            };
            if let Some(interval) = self.metering {
                let (meter, channel, url) = (Meter::new(number, enrolled.clone()), channel.clone(), url.clone());
                let progress = progress.clone();
                meters.spawn(async move { meter.run(channel, url.as_deref(), interval, &progress).await });
            }
            let (progress, retry) = (progress.clone(), self.retry_refused);
            tasks.spawn(async move {
                let mut gateway = Gateway::new(number, enrolled);
                loop {
                    let End::Refused(_) = gateway.follow(channel.clone(), url.as_deref(), &progress).await;
                    let Some(retry) = retry else { return };
                    sleep(retry).await;
                }
            });
        }
        Ok(Fleet { ids, progress, tasks, _meters: meters })
    }
}

impl Fleet {
    /// The number of gateways that the server has not turned away.
    pub fn running(&mut self) -> usize {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.len()
    }
}
