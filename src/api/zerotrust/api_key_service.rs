//! `ApiKeyService`: credentials of programs.

use super::given;
use crate::{
    api::{
        Deps,
        handlers::zerotrust::v1::api_key_service::{ApiKeyService, ChangeApiKeyAction},
        paging, timestamp,
    },
    base::{Cx, Result, Secret},
    identity::{
        ApiKey,
        api_keys::{self, NewApiKey},
    },
    proto::zerotrust::v1::{
        self as proto, ApiKeyAnswer, ChangeApiKeyRequest, ChangeApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse,
    },
};

pub struct ApiKeys {
    pub(super) deps: Deps,
}

impl ApiKeys {
    async fn create(&self, cx: &Cx, message: ChangeApiKeyRequest) -> Result<ChangeApiKeyResponse> {
        let tenant = given::tenant(cx, message.tenant_id.as_deref())?;
        let new = NewApiKey {
            name: given::required("name", message.name)?,
            role: given::required("role", message.role)?,
            expires_in: message.expires_in_seconds,
            networks: message.allowed_cidrs,
        };
        let made = api_keys::create(cx, &self.deps.store, &tenant, new).await?;
        Ok(ChangeApiKeyResponse { answer: Some(told(made.key, Some(&made.text))), created: true })
    }

    async fn revoke(&self, cx: &Cx, message: ChangeApiKeyRequest) -> Result<ChangeApiKeyResponse> {
        let tenant = given::tenant(cx, message.tenant_id.as_deref())?;
        let id = given::required("key_id", message.key_id)?;
        let key = api_keys::revoke(cx, &self.deps.store, &tenant, &id).await?;
        Ok(ChangeApiKeyResponse { answer: Some(told(key, None)), created: false })
    }
}

impl ApiKeyService for ApiKeys {
    async fn list_api_keys(&self, cx: &Cx, message: ListApiKeysRequest) -> Result<ListApiKeysResponse> {
        let tenant = given::tenant(cx, message.tenant_id.as_deref())?;
        let request = paging::request(&message)?;
        let page = api_keys::page(cx, &self.deps.store, &tenant, request).await?;
        Ok(paging::response(page, shown))
    }

    async fn change_api_key(
        &self,
        cx: &Cx,
        action: ChangeApiKeyAction,
        message: ChangeApiKeyRequest,
    ) -> Result<ChangeApiKeyResponse> {
        match action {
            ChangeApiKeyAction::Create => self.create(cx, message).await,
            ChangeApiKeyAction::Revoke => self.revoke(cx, message).await,
        }
    }
}

fn told(key: ApiKey, text: Option<&Secret<String>>) -> ApiKeyAnswer {
    ApiKeyAnswer {
        key_id: key.shown_id(),
        // The only response that contains the key.
        api_key: text.map(|text| text.expose().clone()),
        prefix: key.prefix,
        role: key.role.as_str().to_owned(),
        expires_at: Some(timestamp(key.expires_at)),
        revoked_at: key.revoked_at.map(timestamp),
    }
}

fn shown(key: ApiKey) -> proto::ApiKey {
    proto::ApiKey {
        key_id: key.shown_id(),
        tenant_id: key.tenant.zero_trust(),
        name: key.name,
        prefix: key.prefix,
        role: key.role.as_str().to_owned(),
        allowed_cidrs: key.networks.iter().map(ToString::to_string).collect(),
        created_by: key.created_by,
        created_at: Some(timestamp(key.created_at)),
        expires_at: Some(timestamp(key.expires_at)),
        last_used_at: key.last_used_at.map(timestamp),
        last_used_ip: key.last_used_ip,
        revoked_at: key.revoked_at.map(timestamp),
    }
}
