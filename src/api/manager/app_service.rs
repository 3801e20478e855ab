//! `AppService`: apps of projects.

use tonic::Response;

use super::paging;
use crate::{
    api::{Deps, handlers::manager::v1::app_service::AppService, timestamp},
    base::{Cx, ManagerId, Result},
    manager::{
        CLUSTER, NOT_RUNNING, Paging,
        apps::{self, App, AppChange},
    },
    proto::manager::v1::{
        App as AppMessage, CreateAppRequest, CreateAppResponse, DeleteAppRequest, DeleteAppResponse, GetAppRequest,
        GetAppResponse, ListAppsRequest, ListAppsResponse, ReplaceAppRequest, ReplaceAppResponse, UpdateAppRequest,
        UpdateAppResponse,
    },
};

pub struct Apps {
    pub(super) deps: Deps,
}

impl AppService for Apps {
    async fn create_app(&self, cx: &Cx, message: CreateAppRequest) -> Result<CreateAppResponse> {
        let CreateAppRequest { project_id, name, image, host } = message;
        let (images, project) = (&self.deps.settings.images, project_id.unwrap_or_default());
        let app = apps::create(cx, &self.deps.store, images, &project, AppChange { name, image, host }).await?;
        Ok(CreateAppResponse { app: Some(to_proto(app)) })
    }

    async fn list_apps(&self, cx: &Cx, message: ListAppsRequest) -> Result<Response<ListAppsResponse>> {
        let paging = Paging::read(ManagerId::App, message.limit, &message.page_token)?;
        let listed = apps::list(cx, &self.deps.store, &message.project_id, paging).await?;
        let next = listed.next.map(|id| ManagerId::App.show(id));
        let apps = listed.items.into_iter().map(to_proto).collect();
        let response = ListAppsResponse { apps, next_page_token: next.clone().unwrap_or_default() };
        paging::response(response, next.as_deref(), ("/v1/apps", "projectID", &message.project_id), message.limit)
    }

    async fn get_app(&self, cx: &Cx, message: GetAppRequest) -> Result<GetAppResponse> {
        let app = apps::get(cx, &self.deps.store, &message.app_id).await?;
        Ok(GetAppResponse { app: Some(to_proto(app)) })
    }

    async fn replace_app(&self, cx: &Cx, message: ReplaceAppRequest) -> Result<ReplaceAppResponse> {
        let ReplaceAppRequest { id, name, image, host } = message;
        let wanted = AppChange { name, image: Some(image.unwrap_or_default()), host: Some(host.unwrap_or_default()) };
        let images = &self.deps.settings.images;
        apps::update(cx, &self.deps.store, images, &id.unwrap_or_default(), wanted).await?;
        Ok(ReplaceAppResponse {})
    }

    async fn update_app(&self, cx: &Cx, message: UpdateAppRequest) -> Result<UpdateAppResponse> {
        let UpdateAppRequest { id, name, image, host } = message;
        let (images, id) = (&self.deps.settings.images, id.unwrap_or_default());
        apps::update(cx, &self.deps.store, images, &id, AppChange { name, image, host }).await?;
        Ok(UpdateAppResponse {})
    }

    async fn delete_app(&self, cx: &Cx, message: DeleteAppRequest) -> Result<DeleteAppResponse> {
        apps::delete(cx, &self.deps.store, &message.app_id).await?;
        Ok(DeleteAppResponse {})
    }
}

fn to_proto(app: App) -> AppMessage {
    AppMessage {
        id: ManagerId::App.show(app.id),
        project_id: ManagerId::Project.show(app.project),
        name: app.name,
        image: app.image,
        host: app.host,
        created_at: Some(timestamp(app.created_at)),
        cluster: CLUSTER.to_owned(),
        ready: false,
        reason: Some(NOT_RUNNING.to_owned()),
    }
}
