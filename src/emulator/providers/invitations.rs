//! Accepting and rejecting a shared gallery. A subscription or tenant that rejects a gallery no longer sees it.
//!
//! As described since 2025-12-03. Not recorded: the effect of a rejection.

use super::super::call::{Answer, Call, Method, Outcome};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::{Begin, Family, begin};
use super::super::resource::Resource;
use super::super::settings::Work;
use super::GALLERY;

/// Handles the call of a subscription: `…/sharedGallerySubscriptions/{owner}/sharedGalleries/{name}/accept` or `reject`. `galleries`
/// are those that can be shared.
pub fn answer(
    call: &mut Call<'_, '_>,
    galleries: &[Resource],
    owner: &str,
    name: &str,
    accept: bool,
) -> Outcome {
    let who = call.subscription.clone();
    let gallery = remember(call, galleries, owner, name, &who, "Subscriptions", accept)?;
    let end = call.now + call.duration(Work::Share);
    let operation = begin(
        call,
        Begin::new(
            Family::Caps,
            gallery.location(),
            gallery.id(),
            if accept { "accept" } else { "reject" },
            end,
        ),
    );
    Ok(Answer::empty(202).asynchronous(call, &operation, true))
}

/// Handles the call of a tenant. It completes at once, because a poll URL would need a subscription.
pub fn answer_for_tenant(
    call: &mut Call<'_, '_>,
    galleries: &[Resource],
    owner: &str,
    name: &str,
    accept: bool,
) -> Outcome {
    let who = call.tenant.clone();
    remember(call, galleries, owner, name, &who, "AADTenants", accept)?;
    Ok(Answer::empty(204))
}

fn remember(
    call: &mut Call<'_, '_>,
    galleries: &[Resource],
    owner: &str,
    name: &str,
    who: &str,
    kind: &str,
    accept: bool,
) -> Result<Resource, ArmError> {
    if call.method != Method::Post {
        return Err(ArmError::no_method(call.method.name(), GALLERY));
    }
    let gallery = galleries
        .iter()
        .find(|gallery| {
            gallery.id().split('/').nth(2).is_some_and(|id| id.eq_ignore_ascii_case(owner))
                && gallery.name().eq_ignore_ascii_case(name)
                && is_invited(gallery, kind, who)
        })
        .cloned()
        .ok_or_else(|| ArmError::no_entity("sharedGalleryName"))?;
    call.state.put(&key(&gallery, who), Json::object().with("rejected", !accept));
    Ok(gallery)
}

/// Whether a gallery is shared with this subscription or tenant itself.
fn is_invited(gallery: &Resource, kind: &str, who: &str) -> bool {
    gallery.property("sharingProfile").is_some_and(|profile| {
        profile.text("permissions") == Some("Groups")
            && profile.list("groups").iter().filter(|group| group.text("type") == Some(kind)).any(|group| {
                group.list("ids").iter().filter_map(Json::as_str).any(|id| id.eq_ignore_ascii_case(who))
            })
    })
}

fn key(gallery: &Resource, who: &str) -> String {
    format!("i|{}|{who}", gallery.id()).to_ascii_lowercase()
}

/// Whether the caller's subscription or tenant has rejected a gallery.
pub fn is_rejected(call: &Call<'_, '_>, gallery: &Resource) -> bool {
    [&call.subscription, &call.tenant].into_iter().any(|who| {
        call.record(&key(gallery, who)).is_some_and(|record| record.flag("rejected") == Some(true))
    })
}
