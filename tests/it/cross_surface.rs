//! One tenant registry under all surfaces: what one of them creates, suspends, renames or deletes is visible on
//! every other.
//!
//! A new surface is a row of [`SURFACES`].

use std::collections::BTreeMap;

use serde_json::Value;
use tenantry::base::TenantId;

use crate::{
    db,
    harness::{
        http::{Answer, Http},
        server::{Server, Setup},
        talk::spellings,
    },
};

/// A call: method, path and body. `{tenant}` is the name or an id of a tenant, `{name}` a new name.
struct Call(&'static str, &'static str, &'static str);

/// A surface, with its calls on tenants.
struct SurfaceCalls {
    name: &'static str,
    /// Creates the tenant `{name}`.
    create: Call,
    /// Lists all tenants.
    list: Call,
    /// The names in that response, each with whether the tenant is suspended, if the surface returns that.
    listed: fn(&Value) -> BTreeMap<String, Option<bool>>,
    /// Reads one tenant.
    read: Option<Call>,
    suspend: Option<Call>,
    resume: Option<Call>,
    /// Renames the tenant to `{name}`.
    rename: Option<Call>,
    /// Deletes the tenant immediately; here `{name}` is the tenant's.
    delete: Call,
}

#[rustfmt::skip]
const SURFACES: &[SurfaceCalls] = &[
    SurfaceCalls {
        name: "controlplane",
        create: Call("POST", "/api/control-plane/tenants", r#"{"name":"{name}","slug":"{name}"}"#),
        list: Call("GET", "/api/control-plane/tenants", ""),
        listed: |told| members(&told["tenants"], "slug").map(|(name, item)| (name, Some(item["status"] == "suspended"))).collect(),
        read: Some(Call("GET", "/api/control-plane/tenants/{tenant}", "")),
        suspend: None,
        resume: None,
        rename: None,
        delete: Call("DELETE", "/api/control-plane/tenants/{tenant}?confirm={name}", ""),
    },
    SurfaceCalls {
        name: "messaging",
        create: Call("PUT", "/admin/v2/tenants/{name}", r#"{"allowedClusters":["standalone"]}"#),
        list: Call("GET", "/admin/v2/tenants", ""),
        listed: |told| texts(told).map(|name| (name, None)).collect(),
        read: Some(Call("GET", "/admin/v2/tenants/{tenant}", "")),
        suspend: None,
        resume: None,
        rename: None,
        delete: Call("DELETE", "/admin/v2/tenants/{tenant}", ""),
    },
    SurfaceCalls {
        name: "manager",
        create: Call("POST", "/v1/tenants", r#"{"name":"{name}"}"#),
        list: Call("GET", "/v1/tenants", ""),
        listed: |told| members(told, "name").map(|(name, _)| (name, None)).collect(),
        read: Some(Call("GET", "/v1/tenants/{tenant}", "")),
        suspend: None,
        resume: None,
        rename: Some(Call("PUT", "/v1/tenants", r#"{"ID":"{tenant}","Name":"{name}"}"#)),
        delete: Call("DELETE", "/v1/tenants/{tenant}", ""),
    },
    SurfaceCalls {
        name: "warehouse",
        create: Call("POST", "/api/tenant/create", r#"{"name":"{name}"}"#),
        list: Call("GET", "/api/tenant/list", ""),
        listed: |told| members(&told["tenants"], "name").map(|(name, item)| (name, item["disabled"].as_bool())).collect(),
        read: None,
        suspend: Some(Call("POST", "/api/tenant/setDisabled", r#"{"name":"{tenant}","disabled":true}"#)),
        resume: Some(Call("POST", "/api/tenant/setDisabled", r#"{"name":"{tenant}","disabled":false}"#)),
        rename: None,
        delete: Call("POST", "/api/tenant/delete", r#"{"name":"{tenant}"}"#),
    },
    SurfaceCalls {
        name: "zerotrust",
        create: Call("POST", "/v1/admin/tenants/lifecycle", r#"{"action":"create","slug":"{name}"}"#),
        list: Call("GET", "/v1/admin/tenants?limit=500", ""),
        listed: |told| members(&told["tenants"], "slug").map(|(name, item)| (name, Some(item["status"] == "suspended"))).collect(),
        read: None,
        suspend: Some(Call("POST", "/v1/admin/tenants/lifecycle", r#"{"action":"suspend","tenant_id":"{tenant}"}"#)),
        resume: Some(Call("POST", "/v1/admin/tenants/lifecycle", r#"{"action":"reactivate","tenant_id":"{tenant}"}"#)),
        rename: Some(Call("POST", "/v1/admin/tenants/lifecycle", r#"{"action":"update","tenant_id":"{tenant}","slug":"{name}"}"#)),
        delete: Call("POST", "/v1/admin/tenants/lifecycle", r#"{"action":"delete","tenant_id":"{tenant}","confirm_slug":"{name}","purge":true}"#),
    },
];

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned())
}

fn members<'v>(list: &'v Value, member: &'static str) -> impl Iterator<Item = (String, &'v Value)> {
    list.as_array().unwrap().iter().map(move |item| (item[member].as_str().unwrap().to_owned(), item))
}

impl Call {
    async fn make(&self, http: &Http, tenant: &str, name: &str) -> Answer {
        let Self(method, path, body) = self;
        let filled = |text: &str| text.replace("{tenant}", tenant).replace("{name}", name);
        let body = (!body.is_empty()).then(|| filled(body));
        http.call(method.parse().unwrap(), &filled(path), body.as_deref()).await
    }

    /// Makes the call, which must succeed.
    async fn done(&self, http: &Http, tenant: &str, name: &str) {
        let answer = self.make(http, tenant, name).await;
        assert!((200..300).contains(&answer.status), "{} {} of {tenant} {name}: {answer:?}", self.0, self.1);
    }
}

impl SurfaceCalls {
    async fn listed(&self, http: &Http) -> BTreeMap<String, Option<bool>> {
        let answer = self.list.make(http, "", "").await;
        assert_eq!(answer.status, 200, "{}: {answer:?}", self.name);
        (self.listed)(&answer.json())
    }

    /// Whether the surface finds the tenant by this name or id; true if it has no such call.
    async fn reads(&self, http: &Http, tenant: &str) -> bool {
        match &self.read {
            Some(read) => read.make(http, tenant, "").await.status == 200,
            None => true,
        }
    }
}

/// The id of a tenant, from this surface.
async fn id(http: &Http, name: &str) -> TenantId {
    http.get(&format!("/v1/tenants/{name}")).await.json()["id"].as_str().unwrap().parse().unwrap()
}

async fn whole_life(server: &Server) {
    let http = server.admin();
    for maker in SURFACES {
        // A name that is valid on every surface.
        let name = format!("of{}", maker.name);
        maker.create.done(&http, "", &name).await;
        let id = id(&http, &name).await;
        known_everywhere(&http, &name, id).await;
        suspended_everywhere(&http, &name, id).await;
        let name = renamed_everywhere(&http, name, id).await;
        deleted_everywhere(&http, maker, &name, id).await;
    }
}

async fn known_everywhere(http: &Http, name: &str, id: TenantId) {
    for surface in SURFACES {
        assert!(surface.listed(http).await.contains_key(name), "{name} on {}", surface.name);
        assert!(surface.reads(http, name).await, "{name} on {}", surface.name);
        // Names are case-insensitive, except on the surface whose clients treat them as case-sensitive.
        let in_capitals = surface.reads(http, &name.to_uppercase()).await;
        assert_eq!(in_capitals, surface.name != "messaging", "{name} in capitals on {}", surface.name);
        for (spelling, id) in spellings(id) {
            assert!(surface.reads(http, &id).await, "{name} by its {spelling} id on {}", surface.name);
        }
        let again = surface.create.make(http, "", name).await;
        // A surface on which this form of name is invalid says so.
        let out_of_form = surface.name != "messaging" && name.parse::<TenantId>().is_ok();
        let refused = if out_of_form { (400..500).contains(&again.status) } else { again.status == 409 };
        assert!(refused, "{name} is made again on {}: {again:?}", surface.name);
        let again = surface.create.make(http, "", &name.to_uppercase()).await;
        // A surface on which capitals are invalid says so.
        assert!((400..500).contains(&again.status), "{name} is made again in capitals on {}: {again:?}", surface.name);
    }
}

async fn suspended_everywhere(http: &Http, name: &str, id: TenantId) {
    for (suspending, resuming) in SURFACES.iter().flat_map(|one| SURFACES.iter().map(move |other| (one, other))) {
        let (Some(suspend), Some(resume)) = (&suspending.suspend, &resuming.resume) else { continue };
        for (spelling, spelled) in spellings(id) {
            for (call, suspended) in [(suspend, true), (resume, false)] {
                call.done(http, &spelled, "").await;
                for surface in SURFACES {
                    let told = surface.listed(http).await[name];
                    let why = format!("{name}, {} then {}, by its {spelling} id", suspending.name, resuming.name);
                    assert_eq!(told.unwrap_or(suspended), suspended, "{why}, on {}", surface.name);
                }
            }
        }
    }
}

/// Renames the tenant on each surface that can, and returns its last name.
async fn renamed_everywhere(http: &Http, mut name: String, id: TenantId) -> String {
    for renaming in SURFACES {
        let Some(rename) = &renaming.rename else { continue };
        for (_, spelled) in spellings(id) {
            let new = format!("{name}r");
            rename.done(http, &spelled, &new).await;
            for surface in SURFACES {
                let listed = surface.listed(http).await;
                assert!(listed.contains_key(&new) && !listed.contains_key(&name), "{new} on {}", surface.name);
                assert!(
                    surface.reads(http, &new).await && surface.reads(http, &spelled).await,
                    "{new} on {}",
                    surface.name
                );
                assert!(surface.read.is_none() || !surface.reads(http, &name).await, "{name} on {}", surface.name);
            }
            name = new;
        }
    }
    name
}

/// Deletes the tenant on each surface, and creates it again on the one that created it.
async fn deleted_everywhere(http: &Http, maker: &SurfaceCalls, name: &str, mut id: TenantId) {
    for deleting in SURFACES {
        for place in 0..spellings(id).len() {
            let (spelling, spelled) = spellings(id)[place].clone();
            deleting.delete.done(http, &spelled, name).await;
            for surface in SURFACES {
                let gone = !surface.listed(http).await.contains_key(name)
                    && (surface.read.is_none()
                        || !surface.reads(http, name).await && !surface.reads(http, &spelled).await);
                assert!(gone, "{name}, deleted on {} by its {spelling} id, on {}", deleting.name, surface.name);
                let again = surface.delete.make(http, &spelled, name).await;
                assert_eq!(again.status, 404, "{name} is deleted again on {}: {again:?}", surface.name);
            }
            maker.create.done(http, "", name).await;
            let before = std::mem::replace(&mut id, self::id(http, name).await);
            assert_ne!(before, id, "ids must not be reused");
        }
    }
    maker.delete.done(http, name, name).await;
}

#[tokio::test]
async fn a_tenant_is_visible_on_every_surface_on_sqlite() {
    whole_life(&Server::dev().await).await;
}

#[tokio::test]
async fn a_tenant_is_visible_on_every_surface_on_postgres() {
    whole_life(&Setup::dev().database(db::postgres_unmigrated().await).start().await).await;
}

/// The id of a tenant that does not exist, as a name in each format: the messaging surface accepts such names,
/// because a path there is a name first.
fn id_like_names(number: u128) -> [String; 4] {
    let id = TenantId::from_uuid(uuid::Uuid::from_u128(0x0191_f3a4_7c10_7b2e_9d31_5a6b_7c8d_0000 + number));
    spellings(id).map(|(_, name)| name)
}

async fn named_like_an_id(server: &Server) {
    let http = server.admin();
    let (create, info) = ("/admin/v2/tenants/", r#"{"allowedClusters":["standalone"]}"#);
    for (nth, deleting) in SURFACES.iter().enumerate() {
        let names = id_like_names(nth as u128 + 1);
        for (place, name) in names.iter().enumerate() {
            let made = http.put(&format!("{create}{name}"), info).await;
            assert_eq!(made.status, 204, "{name}: {made:?}");
            let id = id(&http, name).await;
            assert!(
                spellings(id).iter().all(|(_, spelled)| *spelled != *name),
                "the id must differ from the name: {name}"
            );
            known_everywhere(&http, name, id).await;
            // One name per surface, so that each format has its turn; all combinations would take a minute.
            if nth % names.len() == place {
                suspended_everywhere(&http, name, id).await;
            }
            deleting.delete.done(&http, name, name).await;
            for surface in SURFACES {
                assert!(!surface.listed(&http).await.contains_key(name), "{name} on {}", surface.name);
            }
        }
    }
    // The id of a tenant cannot be another tenant's name, in any case.
    http.put(&format!("{create}acme"), info).await;
    for (_, spelled) in spellings(id(&http, "acme").await) {
        for name in [spelled.to_uppercase(), spelled] {
            let refused = http.put(&format!("{create}{name}"), info).await;
            assert_eq!(
                (refused.status, refused.json()["reason"].as_str()),
                (409, Some("Tenant already exist")),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn a_name_that_reads_as_an_id_is_known_on_every_surface_on_sqlite() {
    named_like_an_id(&Server::dev().await).await;
}

#[tokio::test]
async fn a_name_that_reads_as_an_id_is_known_on_every_surface_on_postgres() {
    named_like_an_id(&Setup::dev().database(db::postgres_unmigrated().await).start().await).await;
}

#[tokio::test]
async fn a_credential_that_names_an_id_is_not_for_the_tenant_of_that_name() {
    let server = Server::dev().await;
    let [name, other, ..] = id_like_names(1);
    let mint = async |tenant: &str| {
        let token = server.setup().mint(&["--role", "admin", "--tenant", tenant]).await;
        server.http().token(token)
    };
    // Minted for an id before there is a tenant of that name, and in another format.
    let early = [mint(&name).await, mint(&other).await];
    let http = server.admin();
    assert_eq!(
        http.put(&format!("/admin/v2/tenants/{name}"), r#"{"allowedClusters":["standalone"]}"#).await.status,
        204
    );
    for early in early {
        assert_eq!(early.get(&format!("/admin/v2/tenants/{name}")).await.status, 401);
        assert_eq!(early.get(&format!("/v1/tenants/{name}")).await.status, 401);
    }
    // Minted for the tenant by its name: it reaches the tenant by name and by id.
    let own = mint(&name).await;
    let id = id(&http, &name).await;
    for (_, spelled) in spellings(id) {
        assert_eq!(own.get(&format!("/v1/tenants/{spelled}")).await.status, 200, "{spelled}");
    }
    for named in [&name, &name.to_uppercase()] {
        assert_eq!(own.get(&format!("/v1/tenants/{named}")).await.status, 200, "{named}");
        // Only the messaging surface is case-sensitive.
        let status = if *named == name { 200 } else { 404 };
        assert_eq!(own.get(&format!("/admin/v2/namespaces/{named}")).await.status, status, "{named}");
    }
    assert_eq!(
        own.get(&format!("/v1/tenants/{other}")).await.status,
        403,
        "another spelling of the id is another name"
    );
}
