//! `ProjectService`: projects and their tokens.

use tonic::Response;

use super::paging;
use crate::{
    api::{Deps, handlers::manager::v1::project_service::ProjectService, timestamp},
    base::{Cx, ManagerId, Result},
    manager::{
        CLUSTER, Paging,
        projects::{self, Project},
    },
    proto::manager::v1::{
        CreateProjectRequest, CreateProjectResponse, CreateProjectTokenRequest, CreateProjectTokenResponse,
        DeleteProjectRequest, DeleteProjectResponse, GetProjectRequest, GetProjectResponse, ListProjectsRequest,
        ListProjectsResponse, Project as ProjectMessage, ReplaceProjectRequest, ReplaceProjectResponse,
        UpdateProjectRequest, UpdateProjectResponse,
    },
};

pub struct Projects {
    pub(super) deps: Deps,
}

impl ProjectService for Projects {
    async fn create_project(&self, cx: &Cx, message: CreateProjectRequest) -> Result<CreateProjectResponse> {
        let project = projects::create(cx, &self.deps.store, message.tenant_id(), message.name()).await?;
        Ok(CreateProjectResponse { project: Some(to_proto(project)) })
    }

    async fn list_projects(&self, cx: &Cx, message: ListProjectsRequest) -> Result<Response<ListProjectsResponse>> {
        let paging = Paging::read(ManagerId::Project, message.limit, &message.page_token)?;
        let listed = projects::list(cx, &self.deps.store, &message.tenant_id, paging).await?;
        let next = listed.next.map(|id| ManagerId::Project.show(id));
        let projects = listed.items.into_iter().map(to_proto).collect();
        let response = ListProjectsResponse { projects, next_page_token: next.clone().unwrap_or_default() };
        paging::response(response, next.as_deref(), ("/v1/projects", "tenantID", &message.tenant_id), message.limit)
    }

    async fn get_project(&self, cx: &Cx, message: GetProjectRequest) -> Result<GetProjectResponse> {
        let project = projects::get(cx, &self.deps.store, &message.project_id).await?;
        Ok(GetProjectResponse { project: Some(to_proto(project)) })
    }

    async fn replace_project(&self, cx: &Cx, message: ReplaceProjectRequest) -> Result<ReplaceProjectResponse> {
        projects::update(cx, &self.deps.store, message.id(), Some(message.name())).await?;
        Ok(ReplaceProjectResponse {})
    }

    async fn update_project(&self, cx: &Cx, message: UpdateProjectRequest) -> Result<UpdateProjectResponse> {
        projects::update(cx, &self.deps.store, message.id(), message.name.as_deref()).await?;
        Ok(UpdateProjectResponse {})
    }

    async fn delete_project(&self, cx: &Cx, message: DeleteProjectRequest) -> Result<DeleteProjectResponse> {
        projects::delete(cx, &self.deps.store, &message.project_id).await?;
        Ok(DeleteProjectResponse {})
    }

    async fn create_project_token(
        &self,
        cx: &Cx,
        message: CreateProjectTokenRequest,
    ) -> Result<CreateProjectTokenResponse> {
        let (tokens, store) = (&self.deps.project_tokens, &self.deps.store);
        let token = tokens.create(cx, store, message.project_id(), message.ttl_minutes).await?;
        Ok(CreateProjectTokenResponse { token })
    }
}

fn to_proto(project: Project) -> ProjectMessage {
    ProjectMessage {
        id: ManagerId::Project.show(project.id),
        tenant_id: project.tenant.manager(),
        name: project.name,
        created_at: Some(timestamp(project.created_at)),
        cluster: CLUSTER.to_owned(),
    }
}
