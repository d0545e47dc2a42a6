//! Reads of public data on other hosts than Resource Manager's, without a token.

use serde_json::Value;
use time::OffsetDateTime;

use super::Client;
use crate::arm::retry::{Next, Outcome, Try, next_try};
use crate::arm::{Error, Kind, Method, Request, Response, Scope};

impl Client {
    /// Reads the JSON object at `url`, which must use HTTPS or be on loopback.
    pub async fn get_public(&self, scope: &Scope, url: &str) -> Result<Value, Error> {
        self.get_public_as(scope, url, "application/json", |response| {
            crate::arm::error::json(&response.body).filter(Value::is_object)
        })
        .await
    }

    /// Reads the text at `url`, which must be `https`, or on the loopback interface.
    pub async fn get_public_text(&self, scope: &Scope, url: &str) -> Result<String, Error> {
        let text = |response: &Response| Some(String::from_utf8_lossy(&response.body).into_owned());
        self.get_public_as(scope, url, "text/plain", text).await
    }

    async fn get_public_as<T>(
        &self,
        scope: &Scope,
        url: &str,
        accept: &str,
        parse: impl Fn(&Response) -> Option<T>,
    ) -> Result<T, Error> {
        let refused = |why: String| Error::new(Kind::Refused, why).during(Method::Get, url);
        crate::arm::clouds::endpoint(url.split('?').next().unwrap_or(url))
            .map_err(|why| refused(format!("{url}: {why}")))?;
        let (mut attempt, mut waits) = (0, 0);
        loop {
            attempt += 1;
            let headers = vec![
                ("Accept".to_owned(), accept.to_owned()),
                ("User-Agent".to_owned(), self.sender.user_agent().to_owned()),
            ];
            let request = Request { method: Method::Get, url: url.to_owned(), headers, body: None };
            let answer = scope.run(self.sender.transport().send(request)).await?;
            let now = OffsetDateTime::now_utc();
            let (error, outcome) = match &answer {
                Ok(response) if response.status == 200 => match parse(response) {
                    Some(body) => return Ok(body),
                    None => {
                        let message = crate::arm::error::not_json(response);
                        (Error::new(Kind::Malformed, message), Outcome::Malformed)
                    }
                },
                Ok(response) => (
                    Error::from_response(Method::Get, url, response),
                    Outcome::Answer {
                        response,
                        code: "",
                        is_temporary: false,
                        is_from_gateway: false,
                        renewed: true,
                    },
                ),
                Err(error) => (
                    Error::new(Kind::Transport { sent: error.sent }, error.message.clone()),
                    Outcome::NoAnswer { sent: error.sent, lasting: error.is_lasting() },
                ),
            };
            let (remaining, jitter) = (scope.remaining(), fastrand::f64());
            let tried = Try { attempt, waits, method: Method::Get, outcome, remaining, now, jitter };
            waits += u32::from(tried.asks_to_wait());
            match next_try(tried) {
                Next::Wait(wait) => scope.sleep(wait).await?,
                _ => return Err(error.during(Method::Get, url)),
            }
        }
    }
}
