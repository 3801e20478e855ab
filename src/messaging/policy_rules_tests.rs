//! The rules of policies.

use super::*;

fn refused(change: impl FnOnce(&mut NamespacePolicies)) -> (Reason, String) {
    let mut policies = NamespacePolicies::default();
    change(&mut policies);
    let error = check(&policies).expect_err("it is refused");
    (error.reason, error.message.into_owned())
}

fn too_low(text: &str) -> (Reason, String) {
    (Reason::PolicyOutOfRange, text.to_owned())
}

fn list(values: impl IntoIterator<Item = Kind>) -> ListValue {
    ListValue { values: values.into_iter().map(|kind| Value { kind: Some(kind) }).collect() }
}

#[test]
fn negative_numbers_are_refused() {
    type Set = fn(&mut NamespacePolicies);
    let cases: [(Set, &str); 11] = [
        (|p| p.message_ttl_in_seconds = Some(-1), "Invalid value for message TTL"),
        (|p| p.subscription_expiration_time_minutes = Some(-1), "Invalid value for subscription expiration time"),
        (|p| p.deduplication_snapshot_interval_seconds = Some(-1), "interval must be greater than or equal to 0"),
        (|p| p.max_producers_per_topic = Some(-1), "maxProducersPerTopic must be 0 or more"),
        (|p| p.max_consumers_per_topic = Some(-1), "maxConsumersPerTopic must be 0 or more"),
        (|p| p.max_consumers_per_subscription = Some(-1), "maxConsumersPerSubscription must be 0 or more"),
        (|p| p.max_unacked_messages_per_consumer = Some(-1), "maxUnackedMessagesPerConsumer must be 0 or more"),
        (|p| p.max_unacked_messages_per_subscription = Some(-1), "maxUnackedMessagesPerSubscription must be 0 or more"),
        (|p| p.max_subscriptions_per_topic = Some(-1), "maxSubscriptionsPerTopic must be 0 or more"),
        (|p| p.max_topics_per_namespace = Some(-1), "maxTopicsPerNamespace must be 0 or more"),
        (|p| p.compaction_threshold = Some(-1), "compactionThreshold must be 0 or more"),
    ];
    for (set, text) in cases {
        assert_eq!(refused(set), too_low(text));
    }
    // For some a negative value means no limit, for others it is invalid.
    let low = NamespacePolicies {
        offload_threshold: Some(-1),
        offload_threshold_in_seconds: Some(-1),
        message_ttl_in_seconds: Some(0),
        ..NamespacePolicies::default()
    };
    assert!(check(&low).is_ok());
}

#[test]
fn retention_limits_both_or_none() {
    let of =
        |minutes, megabytes| RetentionPolicies { retention_time_in_minutes: minutes, retention_size_in_mb: megabytes };
    for (minutes, megabytes) in [(0, 0), (-1, -1), (60, -1), (60, 500)] {
        assert!(retention(&of(minutes, megabytes)).is_ok(), "{minutes} {megabytes}");
    }
    for (minutes, megabytes, text) in [
        (-2, 5, "Invalid retention policy: time limit must be >= -1"),
        (5, -2, "Invalid retention policy: size limit must be >= -1"),
        (
            0,
            5,
            "Invalid retention policy: Setting a single time or size limit to 0 is invalid when one of the limits has \
                a non-zero value. Use the value of -1 instead of 0 to ignore a specific limit. To disable retention both \
                limits must be set to 0.",
        ),
    ] {
        let error = retention(&of(minutes, megabytes)).unwrap_err();
        assert_eq!((error.reason, &*error.message), (Reason::PolicyInvalid, text));
    }
    assert!(retention(&of(5, 0)).is_err());
}

#[test]
fn there_are_at_most_as_many_copies_as_nodes() {
    let of = |nodes, written, acknowledged| PersistencePolicies {
        bookkeeper_ensemble: nodes,
        bookkeeper_write_quorum: written,
        bookkeeper_ack_quorum: acknowledged,
        ..PersistencePolicies::default()
    };
    assert!(persistence(&of(5, 5, 5)).is_ok() && persistence(&of(2, 2, 1)).is_ok());
    for (policy, text) in [
        (of(1, 2, 1), "Bookkeeper Ensemble (1) >= WriteQuorum (2) >= AckQuorum (1)"),
        (of(2, 1, 2), "Bookkeeper Ensemble (2) >= WriteQuorum (1) >= AckQuorum (2)"),
        (of(0, 0, 0), "Bookkeeper-Ensemble must be <= 5 and > 0."),
        (of(5, 6, 5), "Bookkeeper-WriteQuorum must be <= 5 and > 0."),
        (of(5, 5, 0), "Bookkeeper-AckQuorum must be <= 5 and > 0."),
    ] {
        assert_eq!(persistence(&policy).unwrap_err().message, text);
    }
    let endless = PersistencePolicies { managed_ledger_max_mark_delete_rate: f64::NAN, ..of(1, 1, 1) };
    assert!(persistence(&endless).is_err());
}

#[test]
fn automatically_created_topics_have_a_type() {
    let of = |topic_type: Option<&str>, default_num_partitions| AutoTopicCreationOverride {
        allow_auto_topic_creation: true,
        topic_type: topic_type.map(str::to_owned),
        default_num_partitions,
    };
    for good in [of(None, None), of(Some("partitioned"), Some(1)), of(Some("non-partitioned"), None)] {
        assert!(auto_topic_creation(&good).is_ok(), "{good:?}");
    }
    for (bad, why) in [
        (of(Some("partitioned"), None), "[defaultNumPartitions] cannot be null when the type is partitioned."),
        (of(Some("x"), None), "Unknown topic type [x]"),
        (of(Some("partitioned"), Some(0)), "[defaultNumPartitions] cannot be less than 1 for partition type."),
    ] {
        let text = format!("Invalid configuration for autoTopicCreationOverride. the detail is {why}");
        assert_eq!(auto_topic_creation(&bad).unwrap_err().message, text);
    }
    assert!(auto_topic_creation(&of(Some("non-partitioned"), Some(1))).is_err());
}

#[test]
fn unsupported_values_are_refused() {
    type Set = fn(&mut NamespacePolicies);
    let sets: [Set; 7] = [
        |p| p.deleted = true,
        |p| p.offload_policies = Some(Struct::default()),
        |p| p.subscription_auth_mode = Some("none".to_owned()),
        |p| p.schema_compatibility_strategy = Some("NOPE".to_owned()),
        |p| p.schema_auto_update_compatibility_strategy = Some("FULL".to_owned()),
        |p| p.subscription_types_enabled = vec!["Shared".to_owned(), String::new()],
        |p| p.inactive_topic_policies.get_or_insert_default().inactive_topic_delete_mode = Some("x".to_owned()),
    ];
    for set in sets {
        assert_eq!(refused(set).0, Reason::PolicyOutOfRange);
    }
    let quota = |policy: Option<&str>| BacklogQuota { policy: policy.map(str::to_owned), ..BacklogQuota::default() };
    assert!(backlog_quota("a/b", "message_age", &quota(Some("producer_exception"))).is_ok());
    for bad in [quota(Some("nope")), quota(None)] {
        let text = "Set namespace[a/b] backlog quota failed because the data validation failed. the attribute policy \
                    cannot be null";
        assert_eq!(backlog_quota("a/b", "message_age", &bad).unwrap_err().message, text);
    }
    assert!(backlog_quota("a/b", "x", &quota(Some("producer_exception"))).is_err());
}

#[test]
fn actions_and_roles_are_texts() {
    let text = |text: &str| Kind::StringValue(text.to_owned());
    let of =
        |list: ListValue| AuthPolicies { namespace_auth: [("ops".to_owned(), list)].into(), ..AuthPolicies::default() };
    assert!(auth(&of(list([text("produce"), text("packages")]))).is_ok() && auth(&of(list([]))).is_ok());
    let error = auth(&of(list([text("nope")]))).unwrap_err();
    let text_of = "auth_policies.namespace_auth: nope is none of produce, consume, functions, sources, sinks, packages";
    assert_eq!((error.reason, &*error.message), (Reason::PolicyInvalid, text_of));
    assert!(auth(&of(list([Kind::NumberValue(1.0)]))).is_err());
    let roles = |value| AuthPolicies {
        destination_auth: [("t".to_owned(), Struct { fields: [("ops".to_owned(), Value { kind: value })].into() })]
            .into(),
        ..AuthPolicies::default()
    };
    assert!(auth(&roles(Some(Kind::ListValue(list([text("consume")]))))).is_ok());
    assert!(auth(&roles(Some(text("consume")))).is_err() && auth(&roles(None)).is_err());
    let any = AuthPolicies {
        subscription_auth_roles: [("s".to_owned(), list([text("bob"), text("any role")]))].into(),
        ..AuthPolicies::default()
    };
    assert!(auth(&any).is_ok());
}
