//! Failed attempts, and the cancellation of operations.

use std::sync::atomic::Ordering;

use tenantry::{
    base::{Error, Kind, error::Reason},
    jobs::Report,
    operations::{self, Kinds, State},
};

use super::{Act, Work, cancel, counted, ended, failed, hurry, later, settle, start, unavailable};
use crate::{db::platform_cx, harness::PATIENCE, rows::sql};

both_databases! {
    async fn a_transient_failure_is_retried_and_reported(db: TestDb) {
        let work = Work::new(&db, vec![Act::Fail(unavailable()), Act::Panic]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        let waiting = failed(&db, id, 1).await;
        let failure = waiting.failure.unwrap();
        assert_eq!((failure.reason.as_str(), failure.cause.as_str()), ("DATABASE_UNAVAILABLE", "the other system is down"));
        assert!(waiting.state == State::Running && waiting.next_attempt_at.is_some());
        hurry(&db).await;
        work.begun(2).await;
        hurry(&db).await;
        let operation = ended(&db, id).await;
        assert_eq!((operation.state, operation.failure), (State::Succeeded, None), "the failure must be cleared after success");
        assert_eq!(counted(&db, "a").await, [3, 1, 1], "the first step must not be repeated");
        jobs.end(PATIENCE).await;
    }

    async fn a_permanent_failure_ends_the_operation_with_its_cause(db: TestDb) {
        let refused = Error::precondition(Reason::TenantInUse, "a role of that name exists").caused_by("secret");
        let work = Work::new(&db, vec![Act::Fail(refused)]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        let operation = ended(&db, id).await;
        let failure = operation.failure.unwrap();
        assert_eq!((operation.state, failure.cause.as_str()), (State::Failed, "a role of that name exists"));
        assert_eq!(operation.steps.iter().filter(|step| step.is_done()).count(), 1, "the second step must be the failed one");
        assert_eq!(operation.next_attempt_at, None);
        jobs.end(PATIENCE).await;
    }

    async fn an_internal_error_is_retried_a_limited_number_of_times(db: TestDb) {
        let id = start(&db, "a").await;
        sql(&db, "UPDATE operations SET internal_failures = 9".to_owned()).await.unwrap();
        // Progress would clear the attempts, so the first step must be done.
        let first = r#"[{"name":"first","done":1},{"name":"second"},{"name":"third"}]"#;
        sql(&db, format!("UPDATE operations SET steps = '{first}'")).await.unwrap();
        let jobs = Work::new(&db, vec![Act::Panic]).serve(&db);
        let ended = ended(&db, id).await;
        assert_eq!((ended.state, ended.failure.unwrap().cause.as_str()), (State::Failed, "internal error"));
        jobs.end(PATIENCE).await;
    }

    async fn transient_failures_do_not_count_as_internal_ones(db: TestDb) {
        let work = Work::new(&db, vec![Act::Fail(later(unavailable())), Act::Panic]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        failed(&db, id, 1).await;
        sql(&db, "UPDATE operations SET attempts = 20".to_owned()).await.unwrap();
        hurry(&db).await;
        assert_eq!(failed(&db, id, 21).await.state, State::Running, "it is only the first internal error");
        hurry(&db).await;
        assert_eq!(ended(&db, id).await.state, State::Succeeded);
        jobs.end(PATIENCE).await;
    }

    async fn undoing_counts_its_own_attempts_and_progress_clears_them(db: TestDb) {
        let work = Work::new(&db, vec![Act::Fail(later(unavailable()))]);
        let internal = || Err(later(Error::internal("a bug")));
        work.0.undo.lock().unwrap().extend([internal(), Ok(Report { items: 1, more: true }), internal()]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        failed(&db, id, 1).await;
        sql(&db, "UPDATE operations SET attempts = 9, internal_failures = 9".to_owned()).await.unwrap();
        let cancelled = cancel(&db, id).await;
        assert_eq!((cancelled.attempts, cancelled.failure, cancelled.next_attempt_at), (0, None, None));
        assert_eq!(failed(&db, id, 1).await.state, State::Cancelling);
        sql(&db, "UPDATE operations SET attempts = 9, internal_failures = 9".to_owned()).await.unwrap();
        hurry(&db).await;
        assert_eq!(failed(&db, id, 1).await.state, State::Cancelling, "progress must have cleared the attempts");
        hurry(&db).await;
        assert_eq!((ended(&db, id).await.state, work.0.undone.load(Ordering::SeqCst)), (State::Cancelled, 4));
        jobs.end(PATIENCE).await;
    }

    async fn a_cancelled_operation_is_undone_even_if_its_step_fails(db: TestDb) {
        for error in [Error::precondition(Reason::TenantInUse, "no"), unavailable()] {
            let work = Work::new(&db, vec![Act::Cancel(Some(error))]);
            let jobs = work.serve(&db);
            let id = start(&db, "a").await;
            assert_eq!(ended(&db, id).await.state, State::Cancelled);
            assert_eq!(work.0.undone.load(Ordering::SeqCst), 1);
            jobs.end(PATIENCE).await;
        }
    }

    async fn a_cancelled_step_cannot_write(db: TestDb) {
        let work = Work::new(&db, vec![Act::Cancel(None)]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        assert_eq!(ended(&db, id).await.state, State::Cancelled);
        assert_eq!((counted(&db, "a").await, work.0.undone.load(Ordering::SeqCst)), (vec![3, 0, 0], 1));
        jobs.end(PATIENCE).await;
    }

    async fn a_second_write_of_a_turn_is_refused(db: TestDb) {
        let work = Work::new(&db, vec![Act::WriteTwice, Act::Hang]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        assert_eq!(failed(&db, id, 1).await.failure.unwrap().reason, "INTERNAL");
        assert_eq!(counted(&db, "a").await, [3, 1, 0], "the first write must be committed");
        jobs.end(PATIENCE).await;
    }

    async fn a_cause_that_the_database_does_not_accept_is_recorded(db: TestDb) {
        let work = Work::new(&db, vec![Act::Fail(Error::precondition(Reason::TenantInUse, "a\0b"))]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        let operation = ended(&db, id).await;
        assert_eq!((operation.state, operation.failure.unwrap().cause.as_str()), (State::Failed, "a\u{fffd}b"));
        assert_eq!(work.0.begun.load(Ordering::SeqCst), 1);
        jobs.end(PATIENCE).await;
    }

    async fn an_operation_that_has_not_begun_is_cancelled_at_once(db: TestDb) {
        let id = start(&db, "a").await;
        let cancelled = cancel(&db, id).await;
        assert!(cancelled.state == State::Cancelled && cancelled.ended_at.is_some());
        let again = operations::cancel(&platform_cx("operation.cancel"), &db, id).await.unwrap_err();
        assert_eq!((again.kind, again.reason), (Kind::FailedPrecondition, Reason::OperationEnded));
        settle(&db, Kinds::default().with(Work::new(&db, vec![]))).await;
        assert_eq!(counted(&db, "a").await, [0, 0, 0]);
    }

    async fn a_running_step_is_interrupted_and_undone(db: TestDb) {
        let work = Work::new(&db, vec![Act::Hang]);
        let jobs = work.serve(&db);
        let id = start(&db, "a").await;
        work.begun(1).await;
        let cancelled = cancel(&db, id).await;
        assert_eq!(cancelled.state, State::Cancelling);
        assert_eq!(ended(&db, id).await.state, State::Cancelled);
        assert_eq!((counted(&db, "a").await, work.0.undone.load(Ordering::SeqCst)), (vec![3, 0, 0], 1));
        jobs.end(PATIENCE).await;
    }
}
