//! The rules of a namespace's policies. The texts are those of the contract's product, if it has one (messaging
//! contract, section 13). Values that it would accept and ignore are refused here.

use prost_types::{ListValue, Struct, Value, value::Kind};

use crate::{
    base::{Error, Result, error::Reason, words::quoted},
    proto::messaging::v2::{
        AuthPolicies, AutoTopicCreationOverride, BacklogQuota, NamespacePolicies, PersistencePolicies,
        RetentionPolicies,
    },
};

/// Maximum number of storage nodes of a ledger, and of copies.
const MAX_COPIES: i32 = 5;

const ACTIONS: &[&str] = &["produce", "consume", "functions", "sources", "sinks", "packages"];
const AUTH_MODES: &[&str] = &["None", "Prefix"];
const DELETE_MODES: &[&str] = &["delete_when_no_subscriptions", "delete_when_subscriptions_caught_up"];
const QUOTA_POLICIES: &[&str] = &["producer_request_hold", "producer_exception", "consumer_backlog_eviction"];
const QUOTA_KINDS: &[&str] = &["destination_storage", "message_age"];
const SUBSCRIPTION_TYPES: &[&str] = &["Exclusive", "Shared", "Failover", "Key_Shared"];
const STRATEGIES: &[&str] = &[
    "UNDEFINED",
    "ALWAYS_INCOMPATIBLE",
    "ALWAYS_COMPATIBLE",
    "BACKWARD",
    "FORWARD",
    "FULL",
    "BACKWARD_TRANSITIVE",
    "FORWARD_TRANSITIVE",
    "FULL_TRANSITIVE",
];
const AUTO_UPDATE_STRATEGIES: &[&str] = &[
    "AutoUpdateDisabled",
    "Backward",
    "Forward",
    "Full",
    "AlwaysCompatible",
    "BackwardTransitive",
    "ForwardTransitive",
    "FullTransitive",
];

/// Checks all policies except clusters, bundles and quotas.
pub fn check(policies: &NamespacePolicies) -> Result<()> {
    if policies.deleted {
        return Err(out_of_range("deleted", "deleted cannot be set: delete the namespace instead"));
    }
    if policies.offload_policies.is_some() {
        return Err(out_of_range("offload_policies", "offload_policies cannot be set here"));
    }
    numbers(policies)?;
    words(policies)?;
    policies.retention_policies.as_ref().map_or(Ok(()), retention)?;
    policies.persistence.as_ref().map_or(Ok(()), persistence)?;
    policies.auto_topic_creation_override.as_ref().map_or(Ok(()), auto_topic_creation)?;
    policies.auth_policies.as_ref().map_or(Ok(()), auth)
}

/// Numbers that must not be negative.
fn numbers(policies: &NamespacePolicies) -> Result<()> {
    let own_texts = [
        ("message_ttl_in_seconds", policies.message_ttl_in_seconds, "Invalid value for message TTL"),
        (
            "subscription_expiration_time_minutes",
            policies.subscription_expiration_time_minutes,
            "Invalid value for subscription expiration time",
        ),
        (
            "deduplication_snapshot_interval_seconds",
            policies.deduplication_snapshot_interval_seconds,
            "interval must be greater than or equal to 0",
        ),
    ];
    for (field, value, text) in own_texts {
        if value.is_some_and(|value| value < 0) {
            return Err(out_of_range(field, text));
        }
    }
    let limits = [
        ("max_producers_per_topic", "maxProducersPerTopic", policies.max_producers_per_topic),
        ("max_consumers_per_topic", "maxConsumersPerTopic", policies.max_consumers_per_topic),
        ("max_consumers_per_subscription", "maxConsumersPerSubscription", policies.max_consumers_per_subscription),
        (
            "max_unacked_messages_per_consumer",
            "maxUnackedMessagesPerConsumer",
            policies.max_unacked_messages_per_consumer,
        ),
        (
            "max_unacked_messages_per_subscription",
            "maxUnackedMessagesPerSubscription",
            policies.max_unacked_messages_per_subscription,
        ),
        ("max_subscriptions_per_topic", "maxSubscriptionsPerTopic", policies.max_subscriptions_per_topic),
        ("max_topics_per_namespace", "maxTopicsPerNamespace", policies.max_topics_per_namespace),
    ];
    let limits = limits.map(|(field, name, value)| (field, name, value.map(i64::from)));
    for (field, name, value) in
        limits.into_iter().chain([("compaction_threshold", "compactionThreshold", policies.compaction_threshold)])
    {
        if value.is_some_and(|value| value < 0) {
            return Err(out_of_range(field, format!("{name} must be 0 or more")));
        }
    }
    Ok(())
}

/// Values of enumerations.
fn words(policies: &NamespacePolicies) -> Result<()> {
    let inactive = policies.inactive_topic_policies.as_ref();
    let given = [
        ("subscription_auth_mode", policies.subscription_auth_mode.as_ref(), AUTH_MODES),
        ("schema_compatibility_strategy", policies.schema_compatibility_strategy.as_ref(), STRATEGIES),
        (
            "schema_auto_update_compatibility_strategy",
            policies.schema_auto_update_compatibility_strategy.as_ref(),
            AUTO_UPDATE_STRATEGIES,
        ),
        (
            "inactive_topic_policies.inactive_topic_delete_mode",
            inactive.and_then(|inactive| inactive.inactive_topic_delete_mode.as_ref()),
            DELETE_MODES,
        ),
    ];
    let types = policies.subscription_types_enabled.iter();
    let types = types.map(|word| ("subscription_types_enabled", Some(word), SUBSCRIPTION_TYPES));
    for (field, word, known) in given.into_iter().chain(types) {
        if let Some(word) = word
            && !known.contains(&word.as_str())
        {
            let text = format!("{field}: {} is none of {}", quoted(word), known.join(", "));
            return Err(out_of_range(field, text));
        }
    }
    Ok(())
}

fn retention(policy: &RetentionPolicies) -> Result<()> {
    let (minutes, megabytes) = (i64::from(policy.retention_time_in_minutes), policy.retention_size_in_mb);
    let why = if minutes < -1 {
        "time limit must be >= -1"
    } else if megabytes < -1 {
        "size limit must be >= -1"
    } else if (minutes == 0) != (megabytes == 0) {
        "Setting a single time or size limit to 0 is invalid when one of the limits has a non-zero value. Use the value of \
         -1 instead of 0 to ignore a specific limit. To disable retention both limits must be set to 0."
    } else {
        return Ok(());
    };
    Err(invalid("retention_policies", format!("Invalid retention policy: {why}")))
}

fn persistence(policy: &PersistencePolicies) -> Result<()> {
    let (nodes, written, acknowledged) =
        (policy.bookkeeper_ensemble, policy.bookkeeper_write_quorum, policy.bookkeeper_ack_quorum);
    for (name, number) in [("Ensemble", nodes), ("WriteQuorum", written), ("AckQuorum", acknowledged)] {
        if !(1..=MAX_COPIES).contains(&number) {
            return Err(invalid("persistence", format!("Bookkeeper-{name} must be <= {MAX_COPIES} and > 0.")));
        }
    }
    if nodes < written || written < acknowledged {
        let text = format!("Bookkeeper Ensemble ({nodes}) >= WriteQuorum ({written}) >= AckQuorum ({acknowledged})");
        return Err(invalid("persistence", text));
    }
    if !policy.managed_ledger_max_mark_delete_rate.is_finite() {
        return Err(invalid("persistence", "managedLedgerMaxMarkDeleteRate must be a number"));
    }
    Ok(())
}

fn auto_topic_creation(policy: &AutoTopicCreationOverride) -> Result<()> {
    let topic_type = policy.topic_type.as_deref();
    let why = match (topic_type, policy.default_num_partitions) {
        (Some("non-partitioned"), Some(_)) => {
            "[defaultNumPartitions] is not allowed to be set when the type is non-partition.".to_owned()
        }
        (Some("partitioned"), None) => "[defaultNumPartitions] cannot be null when the type is partitioned.".to_owned(),
        (Some("partitioned"), Some(partitions)) if partitions < 1 => {
            "[defaultNumPartitions] cannot be less than 1 for partition type.".to_owned()
        }
        (None | Some("partitioned" | "non-partitioned"), _) => return Ok(()),
        (Some(other), _) => format!("Unknown topic type [{}]", quoted(other)),
    };
    let text = format!("Invalid configuration for autoTopicCreationOverride. the detail is {why}");
    Err(out_of_range("auto_topic_creation_override", text))
}

/// A quota of a kind, for the namespace with this full name.
pub fn backlog_quota(namespace: &str, kind: &str, quota: &BacklogQuota) -> Result<()> {
    let field = "backlog_quota_map";
    if !QUOTA_KINDS.contains(&kind) {
        let text = format!("{field}: {} is none of {}", quoted(kind), QUOTA_KINDS.join(", "));
        return Err(invalid(field, text));
    }
    if !quota.policy.as_deref().is_some_and(|policy| QUOTA_POLICIES.contains(&policy)) {
        let text = format!(
            "Set namespace[{namespace}] backlog quota failed because the data validation failed. the attribute policy \
             cannot be null"
        );
        return Err(invalid(field, text));
    }
    Ok(())
}

fn auth(policies: &AuthPolicies) -> Result<()> {
    let by_topic = policies.destination_auth.values().flat_map(|Struct { fields }| fields.values());
    for actions in policies.namespace_auth.values() {
        texts("auth_policies.namespace_auth", actions, Some(ACTIONS))?;
    }
    for value in by_topic {
        let field = "auth_policies.destination_auth";
        let Some(Kind::ListValue(actions)) = &value.kind else {
            return Err(invalid(field, format!("{field}: expected a list of actions")));
        };
        texts(field, actions, Some(ACTIONS))?;
    }
    for roles in policies.subscription_auth_roles.values() {
        texts("auth_policies.subscription_auth_roles", roles, None)?;
    }
    Ok(())
}

/// A list of texts, all from `known` if it is given.
fn texts(field: &str, list: &ListValue, known: Option<&[&str]>) -> Result<()> {
    for Value { kind } in &list.values {
        let Some(Kind::StringValue(text)) = kind else {
            return Err(invalid(field, format!("{field}: expected a list of texts")));
        };
        if let Some(known) = known.filter(|known| !known.contains(&text.as_str())) {
            let text = format!("{field}: {} is none of {}", quoted(text), known.join(", "));
            return Err(invalid(field, text));
        }
    }
    Ok(())
}

/// 400: not a valid policy.
fn invalid(field: &str, text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(Reason::PolicyInvalid, &format!("policies.{field}"), text)
}

/// 412: a valid policy that cannot be applied.
fn out_of_range(field: &str, text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::invalid(Reason::PolicyOutOfRange, &format!("policies.{field}"), text)
}

#[cfg(test)]
#[path = "policy_rules_tests.rs"]
mod tests;
