//! An application that signs in with a certificate.

use super::Context;
use crate::arm::token::Fresh;

pub async fn fetch(_context: &Context<'_>) -> Result<Fresh, String> {
    Err("signing in with a client certificate is not supported in this build; use a client secret or OIDC".to_owned())
}
