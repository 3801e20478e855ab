//! Trust anchors of a tenant, on both databases.

use bundle_verify::AnchorSet;
use futures::future::join_all;
use time::{Duration, OffsetDateTime};

use super::conversation::{
    Who::{Admin, Auditor, Nobody, Other, Platform, User},
    http, serve,
};
use crate::rows::sql;

const ANCHORS: &str = "/v1/trust/anchors";

both_databases! {
    async fn a_tenant_has_one_first_set(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let answers = join_all((0..10).map(|_| admin.get(ANCHORS))).await;
        let first = &answers[0];
        assert_eq!(first.status, 200, "{first:?}");
        assert!(answers.iter().all(|answer| answer.body == first.body), "the first calls made several sets");
        let set = AnchorSet::first(first.body.as_bytes()).unwrap();
        assert_eq!((set.sequence, set.trust_domain.as_str(), set.refresh_hint_seconds), (1, "tenantry.local", 300));
        let tag = first.headers["etag"].to_str().unwrap();
        let again = admin.clone().header("if-none-match", tag).get(ANCHORS).await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        assert_eq!(admin.get(&format!("{ANCHORS}?sequence=1")).await.body, first.body);
        for unknown in ["0", "2", "-1"] {
            assert_eq!(admin.get(&format!("{ANCHORS}?sequence={unknown}")).await.status, 404, "{unknown}");
        }
        // Another tenant has keys of its own, and the same authorities.
        let other = http(&server, Other).await.get(ANCHORS).await;
        let other = AnchorSet::first(other.body.as_bytes()).unwrap();
        let shared = set.anchors.iter().filter(|anchor| other.anchors.iter().any(|theirs| theirs.id == anchor.id));
        assert_eq!((shared.clone().count(), set.anchors.len()), (4, 7));
    }

    async fn a_set_is_followed_by_the_next_one_before_it_expires(db: TestDb) {
        let server = serve(&db).await;
        let admin = http(&server, Admin).await;
        let first = AnchorSet::first(admin.get(ANCHORS).await.body.as_bytes()).unwrap();
        // In nine days.
        let soon = (OffsetDateTime::now_utc() + Duration::days(9)).unix_timestamp() * 1_000_000;
        sql(&db, format!("UPDATE anchor_sets SET expires_at = {soon}")).await.unwrap();
        let answers = join_all((0..5).map(|_| admin.get(ANCHORS))).await;
        assert!(answers.iter().all(|answer| answer.body == answers[0].body), "{answers:?}");
        let second = first.next(answers[0].body.as_bytes()).unwrap();
        assert_eq!((second.sequence, &second.anchors), (2, &first.anchors));
        assert_eq!(admin.get(&format!("{ANCHORS}?sequence=1")).await.status, 200);
    }

    async fn readers_of_gateways_read_the_anchors_of_their_tenant(db: TestDb) {
        let server = serve(&db).await;
        for (who, path, status) in [
            (Auditor, ANCHORS, 200),
            (User, ANCHORS, 403),
            (Nobody, ANCHORS, 401),
            (Other, "/v1/trust/anchors?tenant_id=acme", 403),
            (Platform, ANCHORS, 422),
            (Platform, "/v1/trust/anchors?tenant_id=acme", 200),
            (Platform, "/v1/trust/anchors?tenant_id=nobody", 404),
        ] {
            let answer = http(&server, who).await.get(path).await;
            assert_eq!(answer.status, status, "{who:?} {path}: {answer:?}");
        }
    }
}
