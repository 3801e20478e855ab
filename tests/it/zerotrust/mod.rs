//! The zero-trust surface and its rules.

mod access;
mod api_keys;
mod conversation;
mod device_policy;
mod devices;
mod enrolled;
mod enrollment;
mod enrollment_tokens;
mod gateway_health;
mod gateway_pools;
mod gateways;
mod groups_rest;
mod groups_rules;
mod metering;
mod password_change;
mod policy;
mod policy_rules;
mod sessions;
mod trust_anchors;
mod users_rest;
mod users_rules;
mod users_text;
mod users_text_migration;
