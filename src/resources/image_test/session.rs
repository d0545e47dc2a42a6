//! One test: a machine is started from the image version, checks run in it, and everything is deleted again.

use std::time::Duration;

use serde_json::Value as Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use super::machine::{self, Request, Secret};
use super::model::{self, CHECK_TIMEOUT, Check, Model};
use super::place::Place;
use super::run_command::{self, End, Ran};
use super::verdict::{Trouble, Verdict};
use super::{deprovisioned, place, serial_log};
use crate::arm::{Accepted, Error, Kind, ResourceId, Scope, Target, region};
use crate::azure::context::scope;
use crate::azure::machine::MachineState;
use crate::azure::objects::definition::Definition;
use crate::azure::objects::version::Version;
use crate::azure::provisioning::{is_failed, is_in_flight, pauses};
use crate::azure::{Context, body, tags};
use crate::framework::Op;
use crate::framework::timeouts::parse_duration;
use crate::schema::{Diagnostic, Diagnostics, Path};

/// How long the agent of a started machine may take to become ready.
const AGENT_LIMIT: Duration = Duration::from_secs(20 * 60);
/// How long after its own limit a script may take to be reported.
const REPORT_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long the service may not show what it has just created.
const INVISIBLE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long the check of the machine's identity may take.
const IDENTITY_CHECK_LIMIT: Duration = Duration::from_secs(5 * 60);

/// A test of one image version.
pub struct Session<'a> {
    /// The configured provider.
    pub context: &'a Context,
    /// The frame of the whole test.
    pub scope: Scope,
    /// The ID of the test.
    pub id: ResourceId,
    /// The ID of the machine.
    pub machine: ResourceId,
    plan: &'a Model,
    version: ResourceId,
    location: String,
    size: String,
    definition: Definition,
    luns: Vec<i64>,
    timeout: Duration,
}

/// What a test has found so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Findings {
    /// Seconds until the machine was running.
    pub boot_seconds: Option<i64>,
    /// Seconds until its agent was ready.
    pub agent_ready_seconds: Option<i64>,
    /// How each check ended.
    pub check_results: std::collections::BTreeMap<String, String>,
}

impl<'a> Session<'a> {
    /// Reads the properties that the machine of the run `run` needs.
    pub async fn open(
        context: &'a Context,
        op: &'a Op,
        plan: &'a Model,
        run: &str,
    ) -> Result<Session<'a>, Diagnostics> {
        let version_id = model::version_id(plan)?;
        let scope = scope(op, format!("testing {}", describe(&version_id)));
        let failed = |error: &Error, id: &ResourceId| {
            Verdict::new(&version_id).inconclusive(error, scope.what(), &id.to_string())
        };
        let missing = |what: &str, id: &ResourceId| {
            Diagnostic::error(
                format!("The {what} to test does not exist"),
                format!("Create it first, or correct image_version_id.\n\n{id}"),
            )
            .at(Path::attribute("image_version_id"))
        };
        let target = Target::at(version_id.to_string());
        let version = context.client.get_opt(&scope, &target).await.map_err(|e| failed(&e, &version_id))?;
        let version = Version::read(&version.ok_or_else(|| missing("image version", &version_id))?);
        let definition_id = model::definition_id(&version_id);
        let target = Target::at(definition_id.to_string());
        let found = context.run.parent(&context.client, &scope, &target).await;
        let definition = found
            .map_err(|e| failed(&e, &definition_id))?
            .ok_or_else(|| missing("image definition", &definition_id))?;
        let definition = Definition::read(&definition);
        let location = match &plan.location {
            Some(location) => region::normalise(location),
            None => match place::of_subnet(context, &scope, &model::subnet_id(plan)?).await {
                Place::Region(location) => location,
                _ => region::normalise(version.location.as_deref().unwrap_or_default()),
            },
        };
        if let Some(objection) = place::not_replicated(&version, &location, &version_id) {
            return Err(objection.into());
        }
        let size = plan.vm_size.clone().unwrap_or_else(|| machine::default_size(&definition).to_owned());
        let planned = Model { vm_size: Some(size.clone()), ..plan.clone() };
        Ok(Session {
            machine: model::machine_id(&planned, run)?,
            id: model::test_id(&planned)?,
            luns: version.data_disk.iter().map(|disk| disk.lun).collect(),
            version: version_id,
            context,
            scope,
            plan,
            location,
            size,
            definition,
            timeout: op.timeout,
        })
    }

    /// The region of the machine.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// The size of the machine.
    pub fn size(&self) -> &str {
        &self.size
    }

    /// How results are worded.
    pub fn verdict(&self) -> Verdict {
        Verdict::new(&self.version)
    }

    /// Starts the machine and runs the checks in it.
    pub async fn conduct(&self, findings: &mut Findings) -> Result<(), Trouble> {
        let begun = Instant::now();
        tracing::info!(id = %self.machine, "starting a machine from {}", describe(&self.version));
        self.start().await?;
        findings.boot_seconds = Some(whole_seconds(begun.elapsed()));
        tracing::info!(id = %self.machine, "the machine runs; waiting for its agent");
        self.wait_for_agent().await?;
        findings.agent_ready_seconds = Some(whole_seconds(begun.elapsed()));
        let mut failed = Diagnostics::new();
        let mut commands = Commands::new(self);
        // A specialized image is the very machine that it was captured from.
        if self.plan.check_deprovisioned && !machine::is_specialized(&self.definition) {
            tracing::info!("checking whether the machine kept the identity of its source");
            let script = deprovisioned::script(self.is_windows());
            let ran = commands.run("check-deprovisioned", script, IDENTITY_CHECK_LIMIT).await?;
            failed.extend(self.judge_identity(&ran)?);
        }
        for (index, check) in self.plan.check.iter().enumerate() {
            tracing::info!(name = check.name, "running a check");
            let limit = check.timeout.as_deref().and_then(parse_duration).unwrap_or(CHECK_TIMEOUT);
            let ran = commands.run(&format!("check-{index}"), &check.script, limit).await?;
            let end = match &ran.end {
                End::Exit(code) => format!("exit {code}"),
                End::TimedOut => "timed out".to_owned(),
                End::Unknown(_) => "unknown".to_owned(),
            };
            findings.check_results.insert(check.name.clone(), end);
            failed.extend(self.judge(index, check, &ran));
        }
        if failed.has_errors() { Err(Trouble::failed(failed)) } else { Ok(()) }
    }

    fn is_windows(&self) -> bool {
        machine::is_windows(&self.definition)
    }

    fn judge(&self, index: usize, check: &Check, ran: &Ran) -> Option<Diagnostic> {
        let expected = check.expect_exit_code.unwrap_or(0);
        let why = match &ran.end {
            End::Exit(code) if *code == expected => return None,
            End::Exit(code) => format!("It ended with exit code {code}; {expected} was expected."),
            End::TimedOut => "It did not end in time, and was stopped.".to_owned(),
            End::Unknown(why) => format!("It is not known how it ended: {why}."),
        };
        let path = Path::attribute("check").index(index);
        Some(self.verdict().failed_check(&format!("check {:?}", check.name), &why, ran).at(path))
    }

    fn judge_identity(&self, ran: &Ran) -> Result<Option<Diagnostic>, Trouble> {
        let path = Path::attribute("check_deprovisioned");
        let kept = deprovisioned::kept(&ran.output);
        if !kept.is_empty() {
            let why = format!(
                "The machine kept what belongs to the machine that the image was captured from: {}.\n\n{}",
                kept.join(", "),
                deprovisioned::remedy(self.is_windows())
            );
            return Ok(Some(self.verdict().failed("was not deprovisioned", &why).at(path)));
        }
        match &ran.end {
            End::Exit(0) => Ok(None),
            end => {
                let why = format!("The check whether the image was deprovisioned did not work ({end:?}).");
                Err(Trouble::inconclusive(self.verdict().not_judged(&why).at(path)))
            }
        }
    }

    async fn start(&self) -> Result<(), Trouble> {
        let doing = format!("starting a machine from {}", describe(&self.version));
        let failed = |error: &Error| self.verdict().of(error, &doing, &self.machine.to_string());
        let secret = Secret::generate()
            .map_err(|why| Trouble::inconclusive(self.verdict().not_judged(&format!("No key: {why}."))))?;
        let until = OffsetDateTime::now_utc() + self.timeout;
        let until = until.replace_nanosecond(0).unwrap_or(until).format(&Rfc3339).unwrap_or_default();
        let mut own = tags::Tags::from([(machine::TAG.to_owned(), describe(&self.version))]);
        // A machine that keep_on_failure keeps is never a leftover.
        if !self.plan.keep_on_failure {
            own.insert(machine::UNTIL_TAG.to_owned(), until);
        }
        let request = Request {
            name: self.machine.name(),
            location: &self.location,
            size: &self.size,
            version_id: &self.plan.image_version_id,
            subnet_id: &self.plan.subnet_id,
            tags: tags::merged(self.context, Some(&own)),
            definition: &self.definition,
            luns: &self.luns,
        };
        let target = Target::at(self.machine.to_string());
        let sent = self.context.client.put(&self.scope, &target, &request.body(&secret)).await;
        let accepted = sent.map_err(|error| failed(&error))?;
        let ended = self.wait(&self.scope, &accepted, &target).await;
        match ended {
            Ok(_) => Ok(()),
            Err(error) => Err(self.with_serial_log(failed(&error)).await),
        }
    }

    /// Waits for the operation of a write, or for the object where the operation cannot be read.
    async fn wait(&self, scope: &Scope, accepted: &Accepted, target: &Target) -> Result<Json, Error> {
        let client = &self.context.client;
        if let Some(operation) = &accepted.operation {
            match client.wait(scope, operation).await {
                Err(error) if error.is_operation_unreadable() => {
                    tracing::debug!(why = %error, "polling the object, not its operation");
                }
                ended => return ended,
            }
        }
        let begun = Instant::now();
        for pause in pauses() {
            match self.read_new(scope, target, begun).await? {
                Some(object) if is_failed(&object) => {
                    let why = "the operation failed, and its reason is not known";
                    return Err(Error::new(Kind::Operation, why));
                }
                Some(object) if !is_in_flight(&object) => break,
                _ => scope.sleep(pause).await?,
            }
        }
        Ok(Json::Null)
    }

    /// Reads what was created not long before `begun`; `None` while the service does not show it yet.
    async fn read_new(&self, scope: &Scope, target: &Target, begun: Instant) -> Result<Option<Json>, Error> {
        match self.context.client.get(scope, target).await {
            Err(error) if error.is_not_found() && begun.elapsed() < INVISIBLE_LIMIT => Ok(None),
            read => read.map(Some),
        }
    }

    async fn wait_for_agent(&self) -> Result<(), Trouble> {
        let begun = Instant::now();
        let target = Target::at(self.machine.to_string()).query("$expand", "instanceView");
        let failed = |error: &Error| {
            self.verdict().of(error, "waiting for the machine's agent", &self.machine.to_string())
        };
        for pause in pauses() {
            let read = self.read_new(&self.scope, &target, begun).await.map_err(|error| failed(&error))?;
            let object = read.unwrap_or_default();
            if agent_is_ready(&object) {
                return Ok(());
            }
            let power = MachineState::parse(&object).power;
            let why = match begun.elapsed() > AGENT_LIMIT {
                _ if power == "stopped" => "The machine shut itself down after its start.".to_owned(),
                true => format!(
                    "The machine runs, and its agent was not ready within {} minutes. The agent (waagent, or the Windows guest agent) is missing from the image, does not start, or cannot reach the platform.",
                    AGENT_LIMIT.as_secs() / 60
                ),
                false => {
                    self.scope.sleep(pause).await.map_err(|error| failed(&error))?;
                    continue;
                }
            };
            let told = self.verdict().failed("does not become ready", &why);
            return Err(self.with_serial_log(Trouble::failed(told)).await);
        }
        Ok(())
    }

    /// Adds the end of the serial console's log, where there is one.
    async fn with_serial_log(&self, mut trouble: Trouble) -> Trouble {
        if trouble.was_judged
            && !self.scope.stopped()
            && let Some(log) = serial_log::tail(&self.context.client, &self.scope, &self.machine).await
            && let Some(first) = trouble.diagnostics.0.first_mut()
        {
            first.detail += &format!("\n\nThe end of the serial console's log:\n{log}");
        }
        trouble
    }
}

/// Runs scripts in the machine of a session, one after the other.
struct Commands<'s, 'a> {
    session: &'s Session<'a>,
    /// The second version of Run Command is not for Arm machines, not in every cloud, and needs a right of its own.
    has_second_version: bool,
}

impl<'s, 'a> Commands<'s, 'a> {
    fn new(session: &'s Session<'a>) -> Commands<'s, 'a> {
        Commands { session, has_second_version: !machine::is_arm(&session.definition) }
    }

    async fn run(&mut self, name: &str, script: &str, limit: Duration) -> Result<Ran, Trouble> {
        if self.has_second_version
            && let Some(ran) = self.run_command(name, script, limit).await?
        {
            return Ok(ran);
        }
        self.has_second_version = false;
        self.run_action(script, limit).await
    }

    /// `None` when the second version is not available.
    async fn run_command(&self, name: &str, script: &str, limit: Duration) -> Result<Option<Ran>, Trouble> {
        let session = self.session;
        let scope = self.scope(limit);
        let target = Target::at(session.machine.child("runCommands", name).to_string());
        let body = run_command::command(&session.location, script, limit.as_secs().max(1));
        let client = &session.context.client;
        let accepted = match client.put(&scope, &target, &body).await {
            Err(error) if is_unavailable(&error) => {
                tracing::info!(why = %error, "the second version of Run Command is not available");
                return Ok(None);
            }
            sent => sent.map_err(|error| self.failed(&error))?,
        };
        // The result is in the instance view, also after an operation that failed.
        match session.wait(&scope, &accepted, &target).await {
            Err(error) if error.kind != Kind::Operation => Err(self.failed(&error)),
            ended => {
                let (target, begun) = (target.query("$expand", "instanceView"), Instant::now());
                for pause in pauses() {
                    let read = session.read_new(&scope, &target, begun).await;
                    let command = read.map_err(|error| self.failed(&error))?.unwrap_or_default();
                    match (run_command::result(&command), &ended) {
                        (Some(ran), _) => return Ok(Some(ran)),
                        (None, Err(error)) => return Err(self.failed(error)),
                        (None, Ok(_)) => scope.sleep(pause).await.map_err(|error| self.failed(&error))?,
                    }
                }
                Ok(None)
            }
        }
    }

    async fn run_action(&self, script: &str, limit: Duration) -> Result<Ran, Trouble> {
        let session = self.session;
        let scope = self.scope(limit);
        let target = Target::at(format!("{}/runCommand", session.machine));
        let body = run_command::action(session.is_windows(), script);
        let accepted = session.context.client.post(&scope, &target, Some(&body)).await;
        let accepted = accepted.map_err(|error| self.failed(&error))?;
        let document = match &accepted.operation {
            Some(operation) => {
                session.context.client.wait(&scope, operation).await.map_err(|error| self.failed(&error))?
            }
            None => accepted.body,
        };
        Ok(run_command::action_result(&document))
    }

    fn scope(&self, limit: Duration) -> Scope {
        let whole = &self.session.scope;
        whole.anew((limit + REPORT_LIMIT).min(whole.remaining()), whole.what())
    }

    fn failed(&self, error: &Error) -> Trouble {
        let session = self.session;
        let doing = "running a script in the machine";
        if error.is_timed_out() && !session.scope.remaining().is_zero() {
            let why = "Run Command did not report how a script ended. The machine needs outbound access to Azure on port 443: give the subnet a NAT gateway, or allow the service tag AzureCloud.";
            return Trouble::inconclusive(session.verdict().not_judged(why));
        }
        session.verdict().of(error, doing, &session.machine.to_string())
    }
}

/// Whether a cloud does not have the second version of Run Command, or the caller may not use it.
fn is_unavailable(error: &Error) -> bool {
    const CODES: [&str; 6] = [
        "NoRegisteredProviderFound",
        "InvalidResourceType",
        "ResourceTypeNotFound",
        "UnsupportedApiVersion",
        "FeatureNotSupported",
        "AuthorizationFailed",
    ];
    error.status == Some(405) || CODES.iter().any(|code| code.eq_ignore_ascii_case(error.code()))
}

fn agent_is_ready(machine: &Json) -> bool {
    body::items(machine, "properties.instanceView.vmAgent.statuses").iter().any(|status| {
        body::text(status, "displayStatus").is_some_and(|shown| shown.eq_ignore_ascii_case("Ready"))
    })
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// `gallery/definition/version`.
pub fn describe(version: &ResourceId) -> String {
    version.names().join("/")
}
