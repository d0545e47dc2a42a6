//! `azimage_marketplace_agreement`: the acceptance of a Marketplace plan's terms by a subscription.

use async_trait::async_trait;
use serde_json::{Value as Json, json};

use crate::arm::{Error, ResourceId, Scope, Target};
use crate::azure::attributes::{check_filled, eq_ignore_case, subscription_id};
use crate::azure::context::scope;
use crate::azure::{Context, ORDERING_API, body, fault, identity};
use crate::framework::timeouts::Defaults;
use crate::framework::{
    Draft, Failed, IdentityField, ImportFrom, MoveSource, Op, Private, Resource, Timeouts,
};
use crate::model;
use crate::schema::Attribute;
use crate::schema::spec::{block, computed, optional, required};
use crate::schema::{Diagnostic, Diagnostics, Value};

model! {
    /// Accepts the terms of a Marketplace plan for a subscription, without which no virtual machine can be made from
    /// images that have such a plan. Accepting what is accepted already succeeds, so several configurations can each
    /// ask for what they need.
    pub struct Model {
        /// The id of the agreement.
        pub id: Option<String> = computed(),
        /// The publisher of the plan, as in the `plan` of `azimage_marketplace_image`.
        pub publisher: String = name(),
        /// The offer of the plan: what `plan` of `azimage_marketplace_image` calls `product`.
        pub offer: String = name(),
        /// The name of the plan.
        pub plan: String = name(),
        /// The subscription that accepts. The provider's unless set.
        pub subscription_id: Option<String> = subscription_id(),
        /// Whether destroying takes the acceptance back, for everyone in the subscription. Left false, it stays.
        pub cancel_on_destroy: Option<bool> = optional().default(false).local(),
        /// Where the licence stands.
        pub license_text_link: Option<String> = computed(),
        /// Where the privacy policy stands.
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

    fn type_name(&self) -> &'static str {
        "azimage_marketplace_agreement"
    }

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
                    format!("Importing azimage_marketplace_agreement: {id:?} is not its id"),
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

    async fn read(
        &self,
        context: &Context,
        op: &Op,
        state: Model,
        _private: &mut Private,
    ) -> Result<Option<Model>, Diagnostics> {
        let scope = scope(op, doing("reading", &state));
        let terms = Terms { context, scope: &scope, of: &state };
        let current =
            context.client.get_opt(&scope, &terms.current()).await.map_err(|error| terms.fault(&error))?;
        // terms that are not accepted are no agreement
        Ok(current.filter(is_accepted).map(|current| flatten(state, &current)))
    }

    async fn create(
        &self,
        context: &Context,
        op: &Op,
        plan: Model,
        _private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        let subscription = context.subscription(plan.subscription_id.as_deref())?.to_owned();
        let plan = Model { subscription_id: Some(subscription), ..plan };
        let scope = scope(op, doing("accepting", &plan));
        let terms = Terms { context, scope: &scope, of: &plan };
        // two resources of one plan, as two modules may have, take turns: each reading makes a new signature
        let _guard = context.lock(&id_of(&plan)).await;
        let accepted = terms.accept().await.map_err(|error| terms.fault(&error))?;
        Ok(flatten(plan, &accepted))
    }

    async fn update(
        &self,
        _context: &Context,
        _op: &Op,
        prior: Model,
        plan: Model,
        _private: &mut Private,
    ) -> Result<Model, Failed<Model>> {
        // nothing of it is known to the service
        Ok(Model { cancel_on_destroy: plan.cancel_on_destroy, timeouts: plan.timeouts, ..prior })
    }

    async fn delete(
        &self,
        context: &Context,
        op: &Op,
        prior: Model,
        _private: &mut Private,
    ) -> Result<(), Diagnostics> {
        if prior.cancel_on_destroy != Some(true) {
            return Ok(());
        }
        let scope = scope(op, doing("canceling", &prior));
        let terms = Terms { context, scope: &scope, of: &prior };
        let _guard = context.lock(&id_of(&prior)).await;
        Ok(terms.cancel().await.map_err(|error| terms.fault(&error))?)
    }

    fn move_from(&self, source: &MoveSource) -> Option<Result<Model, Diagnostic>> {
        let ours = source.type_name == "azurerm_marketplace_agreement"
            || identity::is_azapi_resource(source, &KINDS);
        ours.then(|| {
            let id = source.text("id").unwrap_or_default();
            parse(id).ok_or_else(|| {
                Diagnostic::error(
                    format!("Moving {}: its id {id:?} cannot be read", source.type_name),
                    format!("Expected {SHAPE}"),
                )
            })
        })
    }
}

const SHAPE: &str = "/subscriptions/SUBSCRIPTION_ID/providers/Microsoft.MarketplaceOrdering/agreements/PUBLISHER/offers/OFFER/plans/PLAN";

// the service has two ids for one thing: the agreement, and the terms that it is about
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
        // what azurerm and an import leave open: the harmless choice, which is also the default
        cancel_on_destroy: Some(false),
        ..Model::default()
    };
    Model { id: Some(id_of(&model)), ..model }
}

fn doing(verb: &str, model: &Model) -> String {
    let Model { publisher, offer, plan, .. } = model;
    format!("{verb} the terms of Marketplace plan \"{publisher}:{offer}:{plan}\"")
}

fn is_accepted(current: &Json) -> bool {
    body::bool(current, "properties.accepted") == Some(true)
}

fn flatten(model: Model, current: &Json) -> Model {
    Model {
        id: Some(id_of(&model)),
        license_text_link: body::text(current, "properties.licenseTextLink"),
        privacy_policy_link: body::text(current, "properties.privacyPolicyLink"),
        accepted: body::bool(current, "properties.accepted"),
        ..model
    }
}

/// The terms of one plan, as one operation deals with them.
struct Terms<'a> {
    context: &'a Context,
    scope: &'a Scope,
    of: &'a Model,
}

/// How often to begin anew when somebody else reads the terms between our reading and our answer.
const TRIES: usize = 4;

impl Terms<'_> {
    fn current(&self) -> Target {
        let Model { publisher, offer, plan, .. } = self.of;
        let path = format!(
            "{}/offerTypes/virtualmachine/publishers/{publisher}/offers/{offer}/plans/{plan}/agreements/current",
            ordering(self.of)
        );
        Target::new(path, ORDERING_API)
    }

    // Only the terms as they were just read, with their signature, can be accepted.
    async fn accept(&self) -> Result<Json, Error> {
        let mut tries = 0;
        loop {
            let mut current = self.context.client.get(self.scope, &self.current()).await?;
            if is_accepted(&current) {
                return Ok(current);
            }
            tries += 1;
            body::set(&mut current, "properties.accepted", json!(true));
            match self.context.client.put(self.scope, &self.current(), &current).await {
                Ok(answer) if is_accepted(&answer.body) => return Ok(answer.body),
                // the answer is sometimes an older document: look again
                Ok(_) if tries < TRIES => {}
                Ok(_) => {
                    let why = "the service took the acceptance, but still shows the terms as not accepted";
                    return Err(Error::new(crate::arm::Kind::Malformed, why));
                }
                Err(error) if tries < TRIES && matches!(error.status, Some(400 | 409 | 412)) => {}
                Err(error) => return Err(error),
            }
        }
    }

    // What is not there, or no longer offered, needs no canceling.
    async fn cancel(&self) -> Result<(), Error> {
        let target = Target::new(format!("{}/cancel", id_of(self.of)), ORDERING_API);
        let Err(refused) = self.context.client.post(self.scope, &target, None).await else {
            return Ok(());
        };
        if refused.is_stopped() || refused.is_timed_out() {
            return Err(refused);
        }
        match self.context.client.get(self.scope, &self.current()).await {
            Ok(mut current) if is_accepted(&current) && refused.status == Some(404) => {
                body::set(&mut current, "properties.accepted", json!(false));
                self.context.client.put(self.scope, &self.current(), &current).await.map(drop)
            }
            Ok(current) if is_accepted(&current) => Err(refused),
            Ok(_) => Ok(()),
            Err(gone) if gone.is_not_found() || is_withdrawn(&gone) => Ok(()),
            Err(_) => Err(refused),
        }
    }

    fn fault(&self, error: &Error) -> Diagnostic {
        let mut told = fault::diagnostic(error, self.scope.what(), &id_of(self.of));
        if error.is_not_found() || is_withdrawn(error) {
            told.detail.push_str(
                "\n\nCheck publisher, offer and plan: the data source azimage_marketplace_image tells them in its plan, and null there means that there are no terms to accept.",
            );
        }
        told
    }
}

// The service says 400 of a plan that it does not have.
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
