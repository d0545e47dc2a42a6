//! Boot diagnostics of virtual machines: the signed URLs of a screenshot and a log, and the content of the log.
//!
//! Recorded in 2023: the response with the URLs, and a log that does not exist in the first seconds. The service's URLs point
//! to storage accounts; the emulator's point to the emulator itself, under `/blobs`.

use super::super::call::{Answer, Call};
use super::super::clock::{self, SECOND, Ticks};
use super::super::errors::ArmError;
use super::super::json::Json;
use super::super::operations::stable;
use super::super::resource::Resource;
use super::super::settings::Work;
use super::super::store::{Transaction, guid};

/// Whether a machine has boot diagnostics.
pub fn enabled(machine: &Resource) -> bool {
    machine.property("diagnosticsProfile.bootDiagnostics.enabled") == Some(&Json::Bool(true))
}

/// `POST …/retrieveBootDiagnosticsData`.
pub fn retrieve(call: &mut Call<'_, '_>, machine: &Resource) -> Result<Answer, ArmError> {
    if !enabled(machine) {
        return Err(ArmError::new(
            409,
            "OperationNotAllowed",
            format!("Boot diagnostics is not enabled on VM '{}'.", machine.name()),
        ));
    }
    let minutes = call.query("sasUriExpirationTimeInMinutes").and_then(|text| text.parse::<i64>().ok());
    let until = call.now + minutes.unwrap_or(120).clamp(1, 1_440) * 60 * SECOND;
    let until = clock::format_z(until - until.rem_euclid(SECOND)).replace(':', "%3a");
    let vm_id = machine.property_text("vmId").unwrap_or_default().to_owned();
    let container = guid(stable(&vm_id), 4, 4);
    let from = machine.doc.int("_.agentFrom").unwrap_or(0) + call.duration(Work::BootLog);
    call.state.put(
        &key(&vm_id),
        Json::object().with("machine", machine.name()).with("vmId", vm_id.as_str()).with("from", from),
    );
    let address = |end: &str| {
        format!(
            "{}/blobs/{container}/{}.{vm_id}.{end}?sv=2018-03-28&sr=b&sig={:016x}&se={until}&sp=r",
            call.base,
            machine.name(),
            stable(&format!("{vm_id}{end}"))
        )
    };
    Ok(Answer::pretty(
        200,
        Json::object()
            .with("consoleScreenshotBlobUri", address("screenshot.bmp"))
            .with("serialConsoleLogBlobUri", address("serialconsole.log")),
    ))
}

fn key(vm_id: &str) -> String {
    format!("boot|{vm_id}")
}

/// `GET /blobs/{container}/{machine}.{vm id}.serialconsole.log`; needs no token, because its URL is signed.
pub fn read(state: &Transaction<'_>, name: &str, now: Ticks) -> Answer {
    let record = name
        .strip_suffix(".serialconsole.log")
        .and_then(|name| name.rsplit_once('.'))
        .and_then(|(_, vm_id)| state.get(&key(vm_id)))
        .filter(|record| record.int("from").is_some_and(|from| from <= now));
    let Some(record) = record else {
        let text = format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Error><Code>BlobNotFound</Code><Message>The specified blob does not exist.\nTime:{}</Message></Error>",
            clock::format_z(now)
        );
        let mut answer = Answer::empty(404);
        answer.body = super::super::call::Body::Bytes("application/xml", text.into_bytes());
        return answer;
    };
    let machine = record.text("machine").unwrap_or_default();
    let text = format!(
        "[    0.000000] Linux version 6.8.0-emulated\n[    1.204117] systemd[1]: Hostname set to <{machine}>.\n[    4.911820] cloud-init[812]: Cloud-init finished\n\n{machine} login: "
    );
    let mut answer = Answer::empty(200);
    answer.body = super::super::call::Body::Bytes("text/plain", text.into_bytes());
    answer
}
