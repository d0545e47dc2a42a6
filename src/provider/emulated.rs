//! The built-in emulator as a transport: requests are answered in this process, and the state is in a file.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use crate::arm::transport::READ_TIMEOUT;
use crate::arm::{
    Cloud, CloudSource, Request, Response, Secret, StaticTokens, Tokens, Transport, TransportError,
};
use crate::emulator::delivery::{Gone, deliver};
use crate::emulator::{self, Emulator, Fault};

/// The default path of the emulator's state, below the working directory.
pub const STATE_PATH: &str = ".azimage/emulator.json";

/// The default subscription.
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

const HOST: &str = "https://management.emulator.invalid";

/// The emulated cloud. Its host does not exist on any network.
pub fn cloud() -> CloudSource {
    CloudSource::Known(Cloud {
        name: "emulator".to_owned(),
        resource_manager: HOST.to_owned(),
        authority: HOST.to_owned(),
        audience: HOST.to_owned(),
        storage_suffix: "emulator.invalid".to_owned(),
    })
}

/// A token that the emulator accepts.
pub fn tokens() -> Arc<dyn Tokens> {
    Arc::new(StaticTokens(Secret::new("emulator")))
}

/// Passes requests to the emulator in this process. The first request opens the state.
pub struct EmulatedTransport {
    path: String,
    emulator: OnceLock<Result<Arc<Emulator>, String>>,
}

impl EmulatedTransport {
    /// Keeps the state in the file `path`.
    pub fn new(path: String) -> EmulatedTransport {
        EmulatedTransport { path, emulator: OnceLock::new() }
    }
}

#[async_trait]
impl Transport for EmulatedTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let emulator = self
            .emulator
            .get_or_init(|| Emulator::open(&self.path).map(Arc::new).map_err(|error| error.to_string()))
            .clone()
            .map_err(|message| TransportError { sent: false, message })?;
        let request = emulator::Request {
            method: request.method.to_string(),
            url: request.url,
            headers: request.headers,
            body: request.body.unwrap_or_default(),
        };
        let answer = tokio::time::timeout(READ_TIMEOUT, deliver(&emulator, request)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(Gone { sent: true })) => {
                let message = "the emulator dropped the connection because of a configured fault".to_owned();
                return Err(TransportError { sent: true, message });
            }
            Ok(Err(Gone { sent: false })) => {
                let message = "the emulator refused the connection because of a configured fault".to_owned();
                return Err(TransportError { sent: false, message });
            }
            Err(_) => {
                let message = format!("no answer within {} s", READ_TIMEOUT.as_secs());
                return Err(TransportError { sent: true, message });
            }
        };
        let mut body = answer.body;
        if let Fault::Truncate(length) = answer.fault {
            body.truncate(length);
        }
        Ok(Response {
            status: answer.status,
            headers: answer.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect(),
            body,
        })
    }
}
