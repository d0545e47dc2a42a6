//! Sends arbitrary bytes in every call of the protocol to the built binary: each call is answered, and the process
//! keeps running.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/plugin_client.rs"]
mod plugin_client;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use azimage::rpc::proto::tfplugin5::{get_provider_schema, provider_client::ProviderClient};
use bytes::{Buf, BufMut};
use plugin_client::Launch;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

const BINARY: &str = env!("CARGO_BIN_EXE_terraform-provider-azimage");

/// Messages as raw bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

/// The names of all calls, read from the protocol definition.
fn calls() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tfplugin5.proto");
    let text = std::fs::read_to_string(path).unwrap();
    let provider = text.split("service Provider {").nth(1).unwrap();
    let provider = provider.split("\n}").next().unwrap();
    let names: BTreeSet<&str> =
        provider.split("rpc ").skip(1).filter_map(|rest| rest.split('(').next()).map(str::trim).collect();
    assert!(names.len() >= 20 && names.contains("ApplyResourceChange"), "{names:?}");
    names.into_iter().map(str::to_owned).collect()
}

// A field `number` that contains `bytes`.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length > 0x7f {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(bytes);
    out
}

/// Malformed messages, and valid messages with invalid contents for every name.
fn garbage(names: &[&str]) -> Vec<Vec<u8>> {
    let mut random = fastrand::Rng::with_seed(23);
    let mut all =
        vec![Vec::new(), vec![0xff; 64], vec![0], b"\x0a\xff\xff\xff\xff\x0f".to_vec(), vec![0x0b; 5000]];
    for _ in 0..12 {
        all.push((0..random.usize(1..80)).map(|_| random.u8(..)).collect());
    }
    let values: [&[u8]; 6] =
        [b"\xc1", b"\xdf\xff\xff\xff\xff", b"\x81\xa1a\xc0", b"\xd4\x00", b"\xc6\xff\xff\xff\xff", b"{"];
    for (at, name) in names.iter().enumerate() {
        let wrong = values[at % values.len()];
        // DynamicValue and RawState contain bytes in both of their fields
        let value = [field(1, wrong), field(2, b"{\"a\":")].concat();
        for first in 1..3 {
            let mut message = field(first, name.as_bytes());
            for number in (1..9).filter(|number| *number != first) {
                message.extend(field(number, &value));
            }
            all.push(message);
            // without the part that makes the message itself unreadable
            let mut message = field(first, name.as_bytes());
            message.extend(field(first + 1, &value));
            message.extend(field(first + 2, &value));
            all.push(message);
        }
    }
    // an endlessly nested value
    all.push([field(1, b"azimage_gallery"), field(2, &field(1, &[0x91; 100_000]))].concat());
    all
}

async fn send(channel: Channel, call: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = format!("/tfplugin5.Provider/{call}").parse().unwrap();
    grpc.unary(Request::new(message), path, Raw).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn every_call_answers_garbage_and_the_process_keeps_running() {
    // this machine would refuse a request to the service
    let plugin =
        Launch::new(BINARY).env("ARM_METADATA_HOSTNAME", "127.0.0.1:9").env("TF_LOG", "error").start().await;
    let channel = plugin.channel().await;
    let schema = async || {
        let mut provider = ProviderClient::new(channel.clone());
        provider.get_schema(get_provider_schema::Request::default()).await.unwrap().into_inner()
    };
    let before = schema().await;
    let mut names: Vec<&str> = before.resource_schemas.keys().map(String::as_str).collect();
    names.extend(before.data_source_schemas.keys().map(String::as_str));
    names.extend(before.functions.keys().map(String::as_str));
    let messages = garbage(&names);
    let mut answers = BTreeSet::new();
    for call in calls() {
        for message in &messages {
            let response = send(channel.clone(), &call, message.clone());
            let answer = tokio::time::timeout(Duration::from_secs(20), response).await;
            let answer = answer.unwrap_or_else(|_| panic!("{call} hangs: {message:x?}"));
            let text = match &answer {
                Ok(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Err(status) => status.to_string(),
            };
            assert!(!text.contains(azimage::rpc::BUG) && !text.contains("panic"), "{call}: {text}");
            if let Err(status) = &answer {
                let fine =
                    matches!(status.code(), Code::Unimplemented | Code::Internal | Code::InvalidArgument);
                assert!(fine, "{call}: {status} for {message:x?}");
            }
            answers.insert((call.clone(), answer.is_ok()));
        }
    }
    // both kinds of response occurred: to unreadable messages, and to messages with invalid contents
    for call in ["PlanResourceChange", "ApplyResourceChange", "ReadDataSource", "CallFunction", "Configure"] {
        assert!(
            answers.contains(&(call.to_owned(), true)) && answers.contains(&(call.to_owned(), false)),
            "{call}"
        );
    }
    assert_eq!(schema().await, before, "the schema is unchanged");
    let ended = plugin.shut_down().await;
    assert!(ended.status.success() && !ended.stderr.contains("panic"), "{ended:?}");
}
