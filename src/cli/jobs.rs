//! `tenantry jobs`: the background jobs that one server runs for all, from the database. The jobs of every server are in its
//! own `/readyz?verbose`.

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    Common, output,
    start::{block_on, open_migrated},
};
use crate::{
    base::Cx,
    jobs::record,
    server::jobs::{ON_REQUEST, shared},
    store::{Stamp, Store, tables::jobs::Model},
};

/// The column headers.
const HEAD: [&str; 9] =
    ["JOB", "STATE", "LAST START", "LAST SUCCESS", "NEXT RUN", "RUNS", "FAILURES", "ITEMS", "SERVER"];
/// A missing value.
const NONE: &str = "-";

/// Arguments of `jobs`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

/// What to do about jobs.
#[derive(Clone, Debug, clap::Subcommand)]
enum Action {
    /// Show the last and the next run of each job (the default)
    List,
    /// Request a run of a job; a running server starts it within ten seconds
    Run {
        /// Name of the job
        #[arg(value_parser = PossibleValuesParser::new(ON_REQUEST))]
        name: String,
    },
}

pub(super) fn run(common: &Common, arguments: &Args) -> anyhow::Result<()> {
    let config = common.load(&[])?;
    block_on(async {
        let store = open_migrated(&config).await?;
        let done = match &arguments.action {
            None | Some(Action::List) => list(&store).await,
            Some(Action::Run { name }) => request(&store, name).await,
        };
        store.close().await;
        done
    })
}

async fn list(store: &Store) -> anyhow::Result<()> {
    let known = record::all(store).await?;
    let (mut rows, mut errors) = (vec![HEAD.map(str::to_owned)], Vec::new());
    for name in shared(store.backend()) {
        let job = known.iter().find(|job| job.job == name);
        rows.push(job.map_or_else(|| never_ran(name), row));
        errors.extend(job.and_then(last_error));
    }
    output::tell(table(&rows).into_iter().chain(errors).collect::<Vec<_>>().join("\n"));
    Ok(())
}

async fn request(store: &Store, name: &str) -> anyhow::Result<()> {
    // clap accepts no other name.
    let name = ON_REQUEST.into_iter().find(|known| *known == name).context("unknown job")?;
    let cx = Cx::system("jobs run", store.clock().clone());
    record::request(store, &cx, name).await?;
    output::tell(format_args!("{name} is due: a running server runs it within ten seconds"));
    Ok(())
}

fn never_ran(name: &str) -> [String; 9] {
    let mut row = [NONE; 9].map(str::to_owned);
    (row[0], row[1]) = (name.to_owned(), "never ran".to_owned());
    row
}

fn row(job: &Model) -> [String; 9] {
    [
        job.job.clone(),
        state(job).to_owned(),
        moment(job.last_start),
        moment(job.last_success),
        moment(Some(job.next_run)),
        job.runs.to_string(),
        job.failures.to_string(),
        job.items.to_string(),
        if job.holder.is_empty() { NONE.to_owned() } else { job.holder.clone() },
    ]
}

/// The state after the last run. If a server dies during a run, the job is shown as running until another server takes over.
fn state(job: &Model) -> &'static str {
    match job {
        Model { last_start: None, .. } => "never ran",
        Model { last_start, last_end, .. } if last_end < last_start => "running",
        Model { last_failure: Some(failure), last_success, .. } if last_success.is_none_or(|at| at < *failure) => {
            "failed"
        }
        _ => "ok",
    }
}

fn last_error(job: &Model) -> Option<String> {
    let error = job.last_error.as_ref()?;
    Some(format!("{}: failed at {}: {error}", job.job, moment(job.last_failure)))
}

/// In RFC 3339, to the second.
fn moment(at: Option<Stamp>) -> String {
    let second = |at: Stamp| {
        let time: OffsetDateTime = at.time();
        time.replace_nanosecond(0).unwrap_or(time).format(&Rfc3339).ok()
    };
    at.and_then(second).unwrap_or_else(|| NONE.to_owned())
}

/// The lines of a table with aligned columns.
fn table(rows: &[[String; 9]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<_> = (0..HEAD.len()).map(width).collect();
    let line = |row: &[String; 9]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_that_of_the_last_run() {
        let at = |second: i64| Some(Stamp::from(OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(second)));
        let job = |last_start, last_end, last_success, last_failure| Model {
            job: "it".to_owned(),
            holder: String::new(),
            last_start,
            last_end,
            last_success,
            last_failure,
            last_error: None,
            runs: 0,
            failures: 0,
            items: 0,
            next_run: Stamp::from(OffsetDateTime::UNIX_EPOCH),
        };
        for (job, told) in [
            (job(None, None, None, None), "never ran"),
            (job(at(1), None, None, None), "running"),
            (job(at(3), at(2), at(2), None), "running"),
            (job(at(3), at(4), at(2), at(4)), "failed"),
            (job(at(3), at(4), None, at(4)), "failed"),
            (job(at(3), at(4), at(4), at(2)), "ok"),
            (job(at(3), at(3), at(3), None), "ok"),
        ] {
            assert_eq!(state(&job), told, "{job:?}");
        }
    }
}
