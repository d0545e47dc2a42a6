//! Bearer tokens: their sources, and a cache that renews them.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::clouds::Cloud;
use super::error::Error;
use super::failure_memory::{FailureMemory, RETRY_PAUSE};
use super::secret::Secret;
use crate::sync::{read, write};

/// Provides tokens for Resource Manager.
#[async_trait]
pub trait Tokens: Send + Sync {
    /// A valid bearer token. Cheap enough to call for every request.
    async fn token(&self) -> Result<Secret, Error>;

    /// Tokens of the auxiliary tenants, for image sources in those tenants.
    async fn auxiliary(&self) -> Result<Vec<Secret>, Error>;

    /// The service rejected `token`: it must not be used again.
    fn reject(&self, token: &Secret);

    /// Sets the cloud that the client has discovered, so that it need not be discovered again.
    fn use_cloud(&self, _cloud: &Cloud) {}
}

/// A constant token, for tests and for the emulator in this process.
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

/// Fetches tokens. A [`Cache`] never calls it concurrently.
#[async_trait]
pub trait Source: Send + Sync {
    /// Fetches a new token.
    async fn fetch(&self) -> Result<Fresh, Error>;
}

/// A token that was just fetched.
#[derive(Debug)]
pub struct Fresh {
    /// The token.
    pub token: Secret,
    /// The validity from now.
    pub lifetime: Duration,
}

/// Caches a token and renews it before it expires. If renewal fails, it uses the old token while that is valid. A failure
/// is cached for a short time too, so that one failed attempt fails all waiting calls.
pub struct Cache {
    source: Arc<dyn Source>,
    held: RwLock<Option<Held>>,
    failed: FailureMemory,
    fetching: Mutex<()>,
}

#[derive(Clone)]
struct Held {
    token: Secret,
    expires: Instant,
    renew: Instant,
}

/// How long before their expiry tokens are renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(300);

impl Cache {
    /// An empty cache of tokens from `source`.
    pub fn new(source: Arc<dyn Source>) -> Self {
        Self { source, held: RwLock::default(), failed: FailureMemory::default(), fetching: Mutex::new(()) }
    }

    /// A valid token, from the cache if possible.
    pub async fn get(&self) -> Result<Secret, Error> {
        if let Some(known) = self.known() {
            return known;
        }
        let _alone = self.fetching.lock().await;
        // Another call may have fetched a token, or failed, while this one waited.
        if let Some(known) = self.known() {
            return known;
        }
        match self.source.fetch().await {
            Ok(fresh) => {
                let now = Instant::now();
                // A token with a short lifetime is renewed after the same proportion of it.
                let early = RENEW_BEFORE.min(fresh.lifetime / 4);
                let lifetime = fresh.lifetime.min(Duration::from_secs(7 * 86_400));
                let held =
                    Held { token: fresh.token, expires: now + lifetime, renew: now + lifetime - early };
                let token = held.token.clone();
                self.hold(Some(held));
                self.failed.clear();
                Ok(token)
            }
            // Read the cache again: a token that was rejected meanwhile must not be used.
            Err(error) => match self.held() {
                Some(held) if Instant::now() < held.expires => {
                    tracing::warn!(
                        "renewing the token failed; using the old one, which is still valid: {error}"
                    );
                    let token = held.token.clone();
                    let renew = (Instant::now() + RETRY_PAUSE).min(held.expires);
                    self.hold(Some(Held { renew, ..held }));
                    Ok(token)
                }
                _ => Err(self.failed.remember(error)),
            },
        }
    }

    /// The cached token or failure, if it is recent enough.
    fn known(&self) -> Option<Result<Secret, Error>> {
        if let Some(held) = self.held().filter(|held| Instant::now() < held.renew) {
            return Some(Ok(held.token));
        }
        self.failed.recent().map(Err)
    }

    /// Removes `token` from the cache, and returns whether it was the current one.
    pub fn reject(&self, token: &Secret) -> bool {
        let mut held = write(&self.held);
        held.take_if(|held| held.token == *token).is_some()
    }

    /// Removes the token from the cache.
    pub fn forget(&self) {
        self.hold(None);
    }

    fn held(&self) -> Option<Held> {
        read(&self.held).clone()
    }

    fn hold(&self, held: Option<Held>) {
        *write(&self.held) = held;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arm::error::Kind;
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
                return Err(Error::new(Kind::Credential { transient: false }, "no"));
            }
            Ok(Fresh { token: Secret::new(format!("t{number}")), lifetime: Duration::from_secs(3600) })
        }
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_fetch_serves_all_calls_until_five_minutes_before_expiry() {
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
    async fn failed_renewal_keeps_the_old_token_until_it_expires() {
        let source = Arc::new(Counting::default());
        let cache = Cache::new(source.clone());
        cache.get().await.unwrap();
        source.broken.store(true, Ordering::SeqCst);
        pass(3400).await;
        assert_eq!(cache.get().await.unwrap().expose(), "t1");
        // It is not fetched again for every request.
        assert_eq!(cache.get().await.unwrap().expose(), "t1");
        assert_eq!(source.fetched.load(Ordering::SeqCst), 2);
        pass(300).await;
        assert!(cache.get().await.is_err());
        source.broken.store(false, Ordering::SeqCst);
        pass(31).await;
        assert_eq!(cache.get().await.unwrap().expose(), "t4");
    }

    #[tokio::test(start_paused = true)]
    async fn one_failed_attempt_fails_all_waiting_calls_and_is_explained_once() {
        let source = Arc::new(Counting::default());
        source.broken.store(true, Ordering::SeqCst);
        let cache = Arc::new(Cache::new(source.clone()));
        let begun = Instant::now();
        let calls = (0..40).map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { cache.get().await.unwrap_err() })
        });
        let mut explained = 0;
        for call in calls.collect::<Vec<_>>() {
            explained += u32::from(call.await.unwrap().shared.unwrap().is_first_report());
        }
        assert_eq!((begun.elapsed(), explained), (Duration::from_millis(100), 1));
        assert_eq!(source.fetched.load(Ordering::SeqCst), 1);
        pass(29).await;
        cache.get().await.unwrap_err();
        assert_eq!(source.fetched.load(Ordering::SeqCst), 1, "cached for 30 seconds");
        pass(1).await;
        let again = cache.get().await.unwrap_err();
        assert_eq!(source.fetched.load(Ordering::SeqCst), 2);
        assert!(!again.shared.unwrap().is_first_report(), "the same reason again");
    }

    #[tokio::test(start_paused = true)]
    async fn rejected_token_is_forgotten() {
        let source = Arc::new(Counting::default());
        let cache = Cache::new(source.clone());
        let first = cache.get().await.unwrap();
        cache.reject(&first);
        assert_eq!(cache.get().await.unwrap().expose(), "t2");
        // A late rejection of the first token does not affect the second.
        cache.reject(&first);
        assert_eq!(cache.get().await.unwrap().expose(), "t2");
        cache.reject(&Secret::new("t2"));
        source.broken.store(true, Ordering::SeqCst);
        assert!(cache.get().await.is_err(), "a rejected token must not come back");
    }
}
