//! `azimage_marketplace_agreement`: the acceptance of a Marketplace plan's terms by a subscription.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::arm::{Error, Kind, ResourceId, Target};
use crate::azure::attributes::{check_filled, eq_ignore_case, subscription_id};
use crate::azure::pipeline::{self, Change, Managed, Step, Task, Update, Write};
use crate::azure::{Call, Context, body, fault, identity};
use crate::framework::timeouts::Defaults;
use crate::framework::{Draft, Failed, IdentityField, ImportFrom, MoveFrom, Private, Resource, Timeouts};
use crate::model;
use crate::schema::Attribute;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Value};

model! {
    /// Accepts the terms of a Marketplace plan for a subscription.
    ///
    /// Virtual machines can be created from an image with a plan only if the subscription has accepted the plan's
    /// terms. An agreement that is already accepted is adopted, so several configurations can manage the same
    /// agreement.
    pub struct Model {
        /// The ID of the agreement.
        pub id: Option<String> = computed(),
        /// The publisher of the plan, as in the `plan` of `azimage_marketplace_image`.
        pub publisher: String = name(),
        /// The offer of the plan, which is `plan.product` of `azimage_marketplace_image`.
        pub offer: String = name(),
        /// The name of the plan.
        pub plan: String = name(),
        /// The ID of the subscription that accepts the terms. Defaults to the provider's.
        pub subscription_id: Option<String> = subscription_id(),
        /// Whether to cancel the agreement on destroy, for the whole subscription. Otherwise it stays accepted.
        pub cancel_on_destroy: Option<bool> = optional().default(false).local(),
        /// The link to the licence.
        pub license_text_link: Option<String> = computed(),
        /// The link to the privacy policy.
        pub privacy_policy_link: Option<String> = computed(),
        /// Whether the terms are accepted.
        pub accepted: Option<bool> = computed(),
        /// How long each operation may take.
        pub timeouts: Option<Timeouts> = block(),
    }
}

fn name() -> Attribute {
    required().force_new().equivalent_if(eq_ignore_case).check_text(check_name)
}

/// The resource type.
pub struct MarketplaceAgreement;

const PUBLISHER: IdentityField =
    IdentityField { name: "publisher", required: true, doc: "The publisher of the plan." };
const OFFER: IdentityField = IdentityField { name: "offer", required: true, doc: "The offer of the plan." };
const PLAN: IdentityField = IdentityField { name: "plan", required: true, doc: "The name of the plan." };

#[async_trait]
impl Resource<Context> for MarketplaceAgreement {
    type Model = Model;

    const TYPE_NAME: &'static str = "azimage_marketplace_agreement";

    fn identity(&self) -> &'static [IdentityField] {
        &[identity::SUBSCRIPTION_ID, PUBLISHER, OFFER, PLAN]
    }

    fn identify(&self, model: &Model) -> Vec<Option<String>> {
        let Model { publisher, offer, plan, .. } = model;
        vec![model.subscription_id.clone(), Some(publisher.clone()), Some(offer.clone()), Some(plan.clone())]
    }

    fn timeouts(&self) -> Defaults {
        Defaults::minutes(30, 5, 30, 30)
    }

    fn import(&self, context: Option<&Context>, from: &ImportFrom) -> Result<Model, Diagnostic> {
        match from {
            ImportFrom::Id(id) => parse(id).ok_or_else(|| {
                Diagnostic::error(
                    format!("Importing azimage_marketplace_agreement: {id:?} is not a valid ID"),
                    format!("Expected {SHAPE}"),
                )
            }),
            ImportFrom::Identity(given) => Ok(stub(
                identity::subscription(context, given)?,
                identity::text(given, &PUBLISHER),
                identity::text(given, &OFFER),
                identity::text(given, &PLAN),
            )),
        }
    }

    fn prepare(&self, context: Option<&Context>, draft: &mut Draft<'_>) {
        identity::prepare_subscription(context, draft);
        if draft.is_create() {
            draft.planned.set("accepted", Value::Bool(true));
        }
    }

    fn moves_from(&self) -> Vec<MoveFrom> {
        identity::moves_from("azurerm_marketplace_agreement", &KINDS)
    }
}

const SHAPE: &str = "/subscriptions/SUBSCRIPTION_ID/providers/Microsoft.MarketplaceOrdering/agreements/PUBLISHER/offers/OFFER/plans/PLAN";

// the service has two IDs for one object: that of the agreement, and that of its terms
const KINDS: [&str; 2] = [
    "Microsoft.MarketplaceOrdering/agreements/offers/plans",
    "Microsoft.MarketplaceOrdering/offerTypes/publishers/offers/plans/agreements",
];

fn id_of(model: &Model) -> String {
    let Model { publisher, offer, plan, .. } = model;
    format!("{}/agreements/{publisher}/offers/{offer}/plans/{plan}", ordering(model))
}

fn ordering(model: &Model) -> String {
    let subscription = model.subscription_id.as_deref().unwrap_or_default();
    format!("/subscriptions/{subscription}/providers/Microsoft.MarketplaceOrdering")
}

fn parse(id: &str) -> Option<Model> {
    let id = ResourceId::parse(id).ok()?;
    let publisher = match KINDS.iter().position(|kind| id.is_a(kind))? {
        0 => id.name_of("agreements"),
        _ => id.name_of("publishers"),
    };
    Some(stub(id.subscription_id(), publisher?, id.name_of("offers")?, id.name_of("plans")?))
}

fn stub(subscription: &str, publisher: &str, offer: &str, plan: &str) -> Model {
    let model = Model {
        publisher: publisher.to_owned(),
        offer: offer.to_owned(),
        plan: plan.to_owned(),
        subscription_id: Some(subscription.to_owned()),
        // azurerm and imports have no value: use the default, which keeps the agreement
        cancel_on_destroy: Some(false),
        ..Model::default()
    };
    Model { id: Some(id_of(&model)), ..model }
}

fn is_accepted(terms: &Json) -> bool {
    body::bool(terms, "properties.accepted") == Some(true)
}

/// How often to accept the terms again if another client reads them between our read and our write: each read creates
/// a new signature, and only the newest is valid.
const ATTEMPTS: usize = 4;

#[async_trait]
impl Managed for MarketplaceAgreement {
    const NOUN: &'static str = "Marketplace agreement";

    fn resource_id(&self, context: &Context, model: &Model) -> Result<ResourceId, Diagnostic> {
        let subscription = context.subscription(model.subscription_id.as_deref())?;
        let id = id_of(&Model { subscription_id: Some(subscription.to_owned()), ..model.clone() });
        ResourceId::parse(&id)
            .map_err(|error| Diagnostic::error("The plan has no valid ID", error.to_string()))
    }

    fn target(&self, id: &ResourceId) -> Target {
        let [publisher, offer, plan] =
            ["agreements", "offers", "plans"].map(|kind| id.name_of(kind).unwrap_or_default());
        Target::at(format!(
            "/subscriptions/{}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine/publishers/{publisher}\
             /offers/{offer}/plans/{plan}/agreements/current",
            id.subscription_id()
        ))
    }

    fn label(&self, id: &ResourceId) -> String {
        format!("{} \"{}\"", Self::NOUN, id.names().join(":"))
    }

    fn diagnose(error: &Error, what: &str, id: &str) -> Diagnostic {
        let mut diagnostic = fault::diagnostic(error, what, id);
        if error.is_not_found() || is_withdrawn(error) {
            diagnostic.detail.push_str(
                "\n\nCheck publisher, offer and plan: the data source azimage_marketplace_image shows them in its plan. Without a plan, there are no terms to accept.",
            );
        }
        diagnostic
    }

    // an offer always has terms, accepted or not
    async fn expand_new(&self, task: &Task<'_>, _plan: &Model) -> Result<Json, Diagnostics> {
        let terms = task.client().get(&task.scope, &self.target(&task.id)).await;
        Ok(with_acceptance(&terms.map_err(|error| task.failed(&error))?, true))
    }

    fn can_adopt(&self, _plan: &Model, _terms: &Json, _is_retained: bool) -> bool {
        true
    }

    // only terms with the signature of the last read can be accepted
    fn steps<'s>(&'s self, _update: Update<'s, Model>, _current: &Json) -> Vec<Step<'s>> {
        vec![Box::new(move |current| Change::Put(with_acceptance(current, true)))]
    }

    fn retry_after(&self, error: &Error, attempt: usize) -> Option<Duration> {
        let is_outdated = matches!(error.status, Some(400 | 409 | 412));
        (is_outdated && attempt < ATTEMPTS).then_some(Duration::ZERO)
    }

    // a plan has one agreement, so a list would save nothing
    fn plain_read_suffices(&self, _state: &Model, _terms: Option<&Json>) -> bool {
        false
    }

    async fn flatten(
        &self,
        _task: &Task<'_>,
        terms: &Json,
        id: &ResourceId,
        known: &Model,
    ) -> Result<Model, Error> {
        Ok(Model {
            id: Some(id.to_string()),
            license_text_link: body::text(terms, "properties.licenseTextLink"),
            privacy_policy_link: body::text(terms, "properties.privacyPolicyLink"),
            accepted: body::bool(terms, "properties.accepted"),
            ..known.clone()
        })
    }

    async fn after_write(
        &self,
        task: &Task<'_>,
        _plan: &Model,
        _prior: Option<&Model>,
        state: Model,
    ) -> Result<Model, Failed<Model>> {
        if state.accepted == Some(true) {
            return Ok(state);
        }
        let why = "the service confirmed the acceptance but still shows the terms as not accepted";
        Err(task.failed(&Error::new(Kind::Malformed, why)).into())
    }

    async fn read(&self, call: Call<'_>, state: Model) -> Result<Option<Model>, Diagnostics> {
        let read = pipeline::read(self, call, state).await?;
        // terms that are not accepted are not an agreement
        Ok(read.filter(|read| read.accepted == Some(true)))
    }

    async fn create(&self, call: Call<'_>, plan: Model) -> Result<Model, Failed<Model>> {
        let subscription = call.context.subscription(plan.subscription_id.as_deref())?.to_owned();
        let plan = Model { subscription_id: Some(subscription), ..plan };
        pipeline::create(self, call, plan).await
    }

    async fn update(&self, _call: Call<'_>, prior: Model, plan: Model) -> Result<Model, Failed<Model>> {
        // Azure does not store any attribute that can change
        Ok(Model { cancel_on_destroy: plan.cancel_on_destroy, timeouts: plan.timeouts, ..prior })
    }

    async fn remove(&self, task: &Task<'_>, prior: &Model, private: &mut Private) -> Result<(), Diagnostics> {
        if prior.cancel_on_destroy != Some(true) {
            return Ok(());
        }
        cancel(task, private).await.map_err(|error| task.failed(&error).into())
    }
}

fn with_acceptance(terms: &Json, accepted: bool) -> Json {
    let mut terms = terms.clone();
    body::set(&mut terms, "properties.accepted", json!(accepted));
    terms
}

// An agreement that does not exist, or whose plan is no longer offered, needs no cancellation.
async fn cancel(task: &Task<'_>, private: &mut Private) -> Result<(), Error> {
    let target = Target::at(format!("{}/cancel", task.id));
    let Err(refused) = pipeline::act(task.client(), &task.scope, &target, None).await else {
        return Ok(());
    };
    if refused.is_stopped() || refused.is_timed_out() {
        return Err(refused);
    }
    let terms = MarketplaceAgreement.target(&task.id);
    match task.client().get(&task.scope, &terms).await {
        Ok(current) if is_accepted(&current) && refused.status == Some(404) => {
            let change = Change::Put(with_acceptance(&current, false));
            let mut write = Write::new(task, terms.clone(), terms, private);
            write.begin(&change, Some(&current)).await.map(drop).map_err(|refused| refused.error)
        }
        Ok(current) if is_accepted(&current) => Err(refused),
        Ok(_) => Ok(()),
        Err(gone) if gone.is_not_found() || is_withdrawn(&gone) => Ok(()),
        Err(_) => Err(refused),
    }
}

// The service responds with 400 if it does not have the plan.
fn is_withdrawn(error: &Error) -> bool {
    error.status == Some(400) && error.message.to_ascii_lowercase().contains("not found")
}

fn check_name(text: &str) -> Result<(), String> {
    check_filled(text)?;
    match text.chars().find(|c| !c.is_ascii_graphic() || "/\\?#%:".contains(*c)) {
        Some(bad) => Err(format!("must not contain {bad:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
#[path = "marketplace_agreement_tests.rs"]
mod tests;
