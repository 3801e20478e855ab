//! `ApiKeyService`: credentials of programs.

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
        let ChangeApiKeyRequest { name, role, expires_in_seconds, allowed_cidrs, .. } = message;
        let new = NewApiKey {
            name: name.unwrap_or_default(),
            role: role.unwrap_or_default(),
            expires_in: expires_in_seconds,
            networks: allowed_cidrs,
        };
        let created = api_keys::create(cx, &self.deps.store, cx.tenant()?, new).await?;
        Ok(ChangeApiKeyResponse { answer: Some(to_answer(created.key, Some(&created.text))), created: true })
    }

    async fn revoke(&self, cx: &Cx, message: ChangeApiKeyRequest) -> Result<ChangeApiKeyResponse> {
        let key = api_keys::revoke(cx, &self.deps.store, cx.tenant()?, message.key_id()).await?;
        Ok(ChangeApiKeyResponse { answer: Some(to_answer(key, None)), created: false })
    }
}

impl ApiKeyService for ApiKeys {
    async fn list_api_keys(&self, cx: &Cx, message: ListApiKeysRequest) -> Result<ListApiKeysResponse> {
        let tenant = cx.tenant()?;
        let page = api_keys::page(cx, &self.deps.store, tenant, paging::request(cx, &message)?).await?;
        Ok(paging::response(page, to_proto))
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

fn to_answer(key: ApiKey, text: Option<&Secret<String>>) -> ApiKeyAnswer {
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

fn to_proto(key: ApiKey) -> proto::ApiKey {
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
