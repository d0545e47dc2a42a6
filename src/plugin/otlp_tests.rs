//! Tests of the exporter against collectors that accept, refuse, time out or do not exist.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::channel;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::plugin::traces;

fn collector(variables: &[(&str, &str)]) -> Result<Option<Collector>, String> {
    Collector::from_environment(|name| {
        variables.iter().find(|(have, _)| *have == name).map(|(_, value)| value.into())
    })
}

const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn reads_the_collector_from_the_environment() {
    for (variables, endpoint) in [
        (&[][..], None),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], None),
        (&[BASE], Some("http://collector:4318/v1/traces")),
        (
            &[BASE, ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://other/traces")],
            Some("https://other/traces"),
        ),
        (&[BASE, ("OTEL_SDK_DISABLED", "true")], None),
        (&[BASE, ("OTEL_TRACES_EXPORTER", "none")], None),
        (&[BASE, ("OTEL_TRACES_EXPORTER", "otlp")], Some("http://collector:4318/v1/traces")),
        (&[BASE, ("OTEL_TRACES_SAMPLER", "always_off")], None),
        (&[BASE, ("TRACEPARENT", PARENT)], Some("http://collector:4318/v1/traces")),
        (&[BASE, ("TRACEPARENT", &PARENT.replace("-01", "-00"))], None),
        (&[BASE, ("TRACEPARENT", "nonsense")], Some("http://collector:4318/v1/traces")),
        (
            &[
                BASE,
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
                ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ],
            Some("http://collector:4318/v1/traces"),
        ),
    ] {
        let found = collector(variables).unwrap().map(|collector| collector.endpoint.to_string());
        assert_eq!(found.as_deref(), endpoint, "{variables:?}");
    }
    for (variables, why) in [
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")][..], "not an http or https URL"),
        (&[BASE, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json"),
    ] {
        assert!(collector(variables).unwrap_err().contains(why), "{variables:?}");
    }
}

#[test]
fn reads_the_settings_of_the_collector() {
    let found = collector(&[
        BASE,
        ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20b+c%3D, x = y,nonsense"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine,team=images"),
    ]);
    let found = found.unwrap().unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(found.headers, [pair("api-key", "a b+c="), pair("x", "y")]);
    assert_eq!(found.timeout, Duration::from_millis(1500));
    assert!(found.resource.contains(&pair("service.name", "mine")), "{:?}", found.resource);
    assert!(found.resource.contains(&pair("team", "images")));
    let names = found.resource.iter().filter(|(name, _)| name == "service.name").count();
    assert_eq!(names, 1);
}

/// Starts a collector that answers each request with the next of `statuses` and then stops, and that yields the heads
/// and bodies of the requests.
fn listening(statuses: &[u16]) -> (String, std::sync::mpsc::Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sent, received) = channel();
    let mut statuses: VecDeque<u16> = statuses.iter().copied().collect();
    thread::spawn(move || {
        let mut sleeping = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|read| read > 2) {}
            let head = head.to_lowercase();
            let length =
                head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
            let mut body = vec![0; length.unwrap_or(0)];
            reader.read_exact(&mut body).unwrap();
            let _ = sent.send((head, serde_json::from_slice(&body).unwrap()));
            match statuses.pop_front() {
                Some(status) => {
                    let _ = write!(
                        stream,
                        "HTTP/1.1 {status} x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
                    );
                }
                None => sleeping.push(stream),
            }
        }
    });
    (url, received)
}

fn exporter(url: &str, more: &[(&str, &str)]) -> Exporter {
    let variables = [&[("OTEL_EXPORTER_OTLP_ENDPOINT", url)], more].concat();
    Exporter::start(collector(&variables).unwrap().unwrap()).unwrap()
}

/// Runs `work` with its traces sent to `exporter`.
fn traced(exporter: &Exporter, work: impl FnOnce()) {
    let queue = exporter.queue.clone();
    let keep = move |span| drop(queue.try_send(Message::Span(Box::new(span))));
    let layer = Traces::new(exporter.root.clone(), Box::new(keep)).with_filter(filter_fn(Traces::wants));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
}

fn rpc(path: &str, traceparent: Option<&str>) -> tracing::Span {
    let mut request = http::Request::builder().uri(path);
    if let Some(traceparent) = traceparent {
        request = request.header("traceparent", traceparent);
    }
    traces::rpc(&request.body(()).unwrap())
}

fn spans(body: &Value) -> Vec<&Value> {
    body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().iter().collect()
}

fn named<'a>(spans: &[&'a Value], name: &str) -> &'a Value {
    spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

fn attribute<'a>(span: &'a Value, key: &str) -> Option<&'a Value> {
    let all = span["attributes"].as_array().unwrap();
    all.iter().find(|attribute| attribute["key"] == key).map(|attribute| &attribute["value"])
}

macro_rules! arm_call {
    ($($field:tt)*) => { tracing::debug!(target: "azimage::arm::send", $($field)*) };
}

#[test]
fn exports_calls_with_their_parents() {
    let (url, received) = listening(&[200]);
    let exporter = exporter(&url, &[("TRACEPARENT", PARENT), ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=k")]);
    traced(&exporter, || {
        rpc("/tfplugin5.Provider/ReadResource", None).in_scope(|| {
            traces::about("azimage_gallery");
            let path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/x";
            arm_call!(
                method = "GET",
                path,
                status = 429_u16,
                ms = 40_u64,
                attempt = 1_u32,
                request_id = "",
                "ARM call"
            );
            let left = Some(7_i64);
            arm_call!(
                method = "GET",
                path,
                status = 200_u16,
                ms = 60_u64,
                attempt = 2_u32,
                request_id = "r-1",
                budget = left,
                "ARM call"
            );
            // not a call
            arm_call!(path, "trying again");
            tracing::trace!(target: "azimage::arm::send", response = "SECRET", "ARM bodies");
            tracing::error!("SECRET of another kind");
        });
        rpc("/tfplugin5.Provider/Configure", None).in_scope(|| {
            traces::about("Configure");
            traces::failed();
        });
        let _quiet = rpc("/grpc.health.v1.Health/Check", None).entered();
        arm_call!(method = "PUT", path = "/subscriptions/s", ms = 5_u64, attempt = 1_u32, sent = true, error = %"reset", "ARM call without answer");
    });
    exporter.finish(OffsetDateTime::now_utc(), Duration::from_secs(10));

    let (head, body) = received.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(head.starts_with("post /v1/traces http/1.1") && head.contains("\napi-key: k\r"), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    assert!(!body.to_string().contains("SECRET"), "{body}");
    assert_eq!(body["resourceSpans"][0]["resource"]["attributes"][0]["key"], "service.name");
    let spans = spans(&body);
    assert_eq!(spans.len(), 6, "{spans:#?}");
    let trace = PARENT.split('-').nth(1).unwrap();
    assert!(spans.iter().all(|span| span["traceId"] == trace), "{spans:#?}");

    let process = named(&spans, "terraform-provider-azimage");
    assert_eq!(process["parentSpanId"], "00f067aa0ba902b7");
    let read = named(&spans, "ReadResource azimage_gallery");
    assert_eq!((&read["parentSpanId"], &read["kind"]), (&process["spanId"], &json!(2)));
    assert_eq!(attribute(read, "terraform.type"), Some(&json!({"stringValue": "azimage_gallery"})));
    assert_eq!(read.get("status"), None);
    let configure = named(&spans, "Configure");
    assert_eq!(configure["status"]["code"], 2);

    let gets: Vec<_> =
        spans.iter().filter(|span| span["name"] == "GET Microsoft.Compute/galleries").collect();
    assert!(gets.iter().all(|get| get["parentSpanId"] == read["spanId"] && get["kind"] == 3), "{gets:#?}");
    assert_eq!(gets[0]["status"]["message"], "429");
    assert_eq!(attribute(gets[0], "http.request.resend_count"), None);
    assert_eq!(gets[1].get("status"), None);
    assert_eq!(attribute(gets[1], "http.request.resend_count"), Some(&json!({"intValue": "1"})));
    assert_eq!(attribute(gets[1], "http.response.status_code"), Some(&json!({"intValue": "200"})));
    assert_eq!(attribute(gets[1], "az.service_request_id"), Some(&json!({"stringValue": "r-1"})));
    assert_eq!(attribute(gets[1], "az.ratelimit_remaining"), Some(&json!({"intValue": "7"})));
    let nanos = |name: &str| gets[1][name].as_str().unwrap().parse::<i128>().unwrap();
    assert_eq!(nanos("endTimeUnixNano") - nanos("startTimeUnixNano"), 60_000_000);

    let put = named(&spans, "PUT subscriptions");
    assert_eq!((&put["parentSpanId"], &put["status"]["message"]), (&process["spanId"], &json!("reset")));
}

#[test]
fn span_of_the_host_is_the_parent() {
    let (url, received) = listening(&[200]);
    let exporter = exporter(&url, &[]);
    traced(&exporter, || {
        let call = || {
            arm_call!(
                method = "GET",
                path = "/subscriptions/s",
                status = 200_u16,
                ms = 1_u64,
                attempt = 1_u32,
                request_id = "",
                "ARM call"
            )
        };
        rpc("/tfplugin5.Provider/ReadResource", Some(PARENT)).in_scope(call);
        rpc("/tfplugin5.Provider/Stop", Some(&PARENT.replace("-01", "-00"))).in_scope(call);
    });
    exporter.finish(OffsetDateTime::now_utc(), Duration::from_secs(10));
    let (_, body) = received.recv_timeout(Duration::from_secs(10)).unwrap();
    let spans = spans(&body);
    // spans that the host does not sample are not sent
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let read = named(&spans, "ReadResource");
    assert_eq!(
        (&read["traceId"], &read["parentSpanId"]),
        (&json!(PARENT[3..35]), &json!("00f067aa0ba902b7"))
    );
    let get = named(&spans, "GET subscriptions");
    assert_eq!((&get["traceId"], &get["parentSpanId"]), (&read["traceId"], &read["spanId"]));
    assert_ne!(named(&spans, "terraform-provider-azimage")["traceId"], read["traceId"]);
}

#[test]
fn retries_after_a_temporary_refusal() {
    let (url, received) = listening(&[503, 200]);
    let exporter = exporter(&url, &[]);
    let flush = || {
        let (done, wait) = sync_channel(1);
        exporter.queue.send(Message::Flush(Some(done))).unwrap();
        wait.recv_timeout(Duration::from_secs(10)).unwrap();
    };
    traced(&exporter, || drop(rpc("/tfplugin5.Provider/Stop", None)));
    flush();
    flush();
    let bodies: Vec<Value> = received.try_iter().map(|(_, body)| body).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[0], bodies[1]);
}

#[test]
fn silent_collector_does_not_delay_the_end() {
    let (sleeping, _received) = listening(&[]);
    for url in [sleeping.as_str(), "http://127.0.0.1:9", "https://127.0.0.1:9"] {
        let exporter = exporter(url, &[]);
        let begun = Instant::now();
        traced(&exporter, || {
            for _ in 0..3 * QUEUE {
                drop(rpc("/tfplugin5.Provider/Stop", None));
            }
        });
        exporter.finish(OffsetDateTime::now_utc(), Duration::from_millis(200));
        // generous for a slow machine, but below the collector's timeout of ten seconds
        assert!(begun.elapsed() < Duration::from_secs(5), "{url}: {:?}", begun.elapsed());
    }
}
