//! Bearer tokens: where the client gets them, and the cache that keeps one fresh.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::clouds::Cloud;
use super::error::{Error, Kind};
use super::secret::Secret;

/// Gives out tokens for Resource Manager.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// A bearer token that is valid now; cheap to call for every request.
    async fn token(&self) -> Result<Secret, Error>;

    /// Tokens of further tenants, for sources that live there; usually none.
    async fn auxiliary(&self) -> Result<Vec<Secret>, Error>;

    /// The service refused `token`: do not give it out again.
    fn reject(&self, token: &Secret);

    /// Tells which cloud the tokens are for, once the client has found out, so that it is not asked twice.
    fn use_cloud(&self, _cloud: &Cloud) {}
}

/// One token that never changes: for tests and for the pretend service in this process.
pub struct StaticTokens(pub Secret);

#[async_trait]
impl Tokens for StaticTokens {
    async fn token(&self) -> Result<Secret, Error> {
        Ok(self.0.clone())
    }

    async fn auxiliary(&self) -> Result<Vec<Secret>, Error> {
        Ok(Vec::new())
    }

    fn reject(&self, _token: &Secret) {}
}

/// Fetches a new token; slow, and never asked twice at the same time by one [`Cache`].
#[async_trait]
pub trait Source: Send + Sync {
    /// A new token and how long it is valid from now.
    async fn fetch(&self) -> Result<Fresh, Error>;
}

/// A token as it was fetched.
#[derive(Debug)]
pub struct Fresh {
    /// The token.
    pub token: Secret,
    /// Validity from now.
    pub lifetime: Duration,
}

/// Keeps one token, fetches the next in time, and goes on with the old one while that is possible.
pub struct Cache {
    source: Arc<dyn Source>,
    held: RwLock<Option<Held>>,
    fetching: Mutex<()>,
}

#[derive(Clone)]
struct Held {
    token: Secret,
    expires: Instant,
    renew: Instant,
}

/// Tokens are renewed this long before they expire.
const RENEW_BEFORE: Duration = Duration::from_secs(300);
/// After a failed renewal, the old token is used this long before the next try.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

impl Cache {
    /// An empty cache before `source`.
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self { source, held: RwLock::new(None), fetching: Mutex::new(()) }
    }

    /// A valid token, from memory when possible.
    pub async fn get(&self) -> Result<Secret, Error> {
        if let Some(held) = self.held().filter(|held| Instant::now() < held.renew) {
            return Ok(held.token);
        }
        let _alone = self.fetching.lock().await;
        // Somebody else may have renewed it while this call waited.
        if let Some(held) = self.held().filter(|held| Instant::now() < held.renew) {
            return Ok(held.token);
        }
        match self.source.fetch().await {
            Ok(fresh) => {
                if fresh.token.is_empty() {
                    return Err(Error::new(
                        Kind::Credential,
                        "the login service answered with an empty token",
                    ));
                }
                let now = Instant::now();
                // Tokens that live only for minutes keep the same proportion.
                let early = RENEW_BEFORE.min(fresh.lifetime / 4);
                let lifetime = fresh.lifetime.min(Duration::from_secs(7 * 86_400));
                let held =
                    Held { token: fresh.token, expires: now + lifetime, renew: now + lifetime - early };
                let token = held.token.clone();
                self.hold(Some(held));
                Ok(token)
            }
            // Looked up anew: a token that was rejected meanwhile must not come back.
            Err(error) => match self.held() {
                Some(held) if Instant::now() < held.expires => {
                    tracing::warn!("renewing the token: {error}; going on with the one that is still valid");
                    let token = held.token.clone();
                    let renew = (Instant::now() + RENEW_AGAIN).min(held.expires);
                    self.hold(Some(Held { renew, ..held }));
                    Ok(token)
                }
                _ => Err(error),
            },
        }
    }

    /// Forgets `token` if it is the one that is kept, and says whether it was.
    pub fn reject(&self, token: &Secret) -> bool {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.take_if(|held| held.token == *token).is_some()
    }

    /// Forgets whatever token is kept.
    pub fn forget(&self) {
        self.hold(None);
    }

    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hold(&self, held: Option<Held>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    #[derive(Default)]
    struct Counting {
        fetched: AtomicU32,
        broken: AtomicBool,
    }

    #[async_trait]
    impl Source for Counting {
        async fn fetch(&self) -> Result<Fresh, Error> {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let number = self.fetched.fetch_add(1, Ordering::SeqCst) + 1;
            if self.broken.load(Ordering::SeqCst) {
                return Err(Error::new(Kind::Credential, "no"));
            }
            Ok(Fresh { token: Secret::new(format!("t{number}")), lifetime: Duration::from_secs(3600) })
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_fetch_serves_many_until_five_minutes_before_the_end() {
        let source = Arc::new(Counting::default());
        let cache = Arc::new(Cache::new(source.clone()));
        let calls: Vec<_> = (0..50)
            .map(|_| {
                tokio::spawn({
                    let cache = cache.clone();
                    async move { cache.get().await }
                })
            })
            .collect();
        for call in calls {
            assert_eq!(call.await.unwrap().unwrap().expose(), "t1");
        }
        pass(3290).await;
        assert_eq!(cache.get().await.unwrap().expose(), "t1");
        pass(20).await;
        assert_eq!(cache.get().await.unwrap().expose(), "t2");
        assert_eq!(source.fetched.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_renewal_keeps_the_old_token_while_it_lasts() {
        let source = Arc::new(Counting::default());
        let cache = Cache::new(source.clone());
        cache.get().await.unwrap();
        source.broken.store(true, Ordering::SeqCst);
        pass(3400).await;
        assert_eq!(cache.get().await.unwrap().expose(), "t1");
        // Not asked again for every request.
        assert_eq!(cache.get().await.unwrap().expose(), "t1");
        assert_eq!(source.fetched.load(Ordering::SeqCst), 2);
        pass(300).await;
        assert!(cache.get().await.is_err());
        source.broken.store(false, Ordering::SeqCst);
        assert_eq!(cache.get().await.unwrap().expose(), "t4");
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_token_is_forgotten() {
        let source = Arc::new(Counting::default());
        let cache = Cache::new(source.clone());
        let first = cache.get().await.unwrap();
        cache.reject(&first);
        assert_eq!(cache.get().await.unwrap().expose(), "t2");
        // A late answer about the first token does not cost the second.
        cache.reject(&first);
        assert_eq!(cache.get().await.unwrap().expose(), "t2");
        cache.reject(&Secret::new("t2"));
        source.broken.store(true, Ordering::SeqCst);
        assert!(cache.get().await.is_err(), "a rejected token must not come back");
    }
}
