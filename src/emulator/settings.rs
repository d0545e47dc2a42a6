//! The settings: how fast time passes, which imperfections of the service are emulated, and how long each kind of work takes.

use super::clock::{self, Ticks};
use super::json::Json;

/// The record that holds the settings.
pub const KEY: &str = "s|settings";

/// Options of the program that runs the emulator. Settings stored in the state override them.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Refuse ARM requests without a bearer token.
    pub require_token: bool,
    /// Create a resource group on the first write to it, with a `golden-vm` in it.
    pub auto_create_resource_groups: bool,
}

impl Options {
    /// For use inside a provider's process: creates resource groups on demand and requires no token.
    pub fn in_process() -> Options {
        Options { require_token: false, auto_create_resource_groups: true }
    }

    /// For the served emulator: as strict as ARM.
    pub fn served() -> Options {
        Options { require_token: true, auto_create_resource_groups: false }
    }
}

/// The settings in force for one request.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `None`: short demo durations. Otherwise the service's durations divided by this; 0 makes all work instantaneous.
    pub time_scale: Option<f64>,
    /// Offset added to the caller's clock.
    pub clock_offset: Ticks,
    /// Send Retry-After only where the service does. Otherwise all asynchronous responses carry a short one, since the work is
    /// short too.
    pub recorded_polling: bool,
    /// See [`Options`].
    pub require_token: bool,
    /// See [`Options`].
    pub auto_create_resource_groups: bool,
    /// Enforce the rate limits, which are otherwise only counted.
    pub throttling: bool,
    /// Emulate eventual consistency: a new resource is not found for a moment; a deleted one is still found, and its parent
    /// cannot be deleted, for a moment; regions lag behind an update's operation. With [`Settings::time_scale`] the parent
    /// always lags.
    pub eventual_consistency: bool,
    /// Reject poll URLs that differ from the issued ones.
    pub verify_poll_urls: bool,
    /// Entries per list page.
    pub page_size: usize,
    /// The request is a change made by hand: it completes instantly, and regions can be removed without permission.
    pub by_hand: bool,
    /// Check the caller's role assignments. Requests without a token act as an owner of everything.
    pub enforce_roles: bool,
    /// Object IDs of additional owners of everything.
    pub owners: Vec<String>,
    /// The date of the newest API version of compute types; none: all that are known. A sovereign or private cloud lags behind.
    pub newest_api_version: Option<String>,
    /// Delays by method and path: `[{"method","path","milliseconds"}]`.
    pub latency: Vec<Json>,
}

impl Settings {
    /// Merges the stored settings over the program's options.
    pub fn read(stored: Option<&Json>, options: &Options) -> Settings {
        let none = Json::Null;
        let stored = stored.unwrap_or(&none);
        let number = |key: &str| match stored.get(key) {
            Some(Json::Number(number)) => number.as_f64(),
            _ => None,
        };
        Settings {
            time_scale: number("time_scale").filter(|scale| *scale >= 0.0),
            clock_offset: stored
                .int("clock_offset_ticks")
                .unwrap_or(0)
                .clamp(-clock::LONGEST, clock::LONGEST),
            recorded_polling: stored.flag("recorded_polling").unwrap_or(false),
            require_token: stored.flag("require_token").unwrap_or(options.require_token),
            auto_create_resource_groups: stored
                .flag("auto_create_resource_groups")
                .unwrap_or(options.auto_create_resource_groups),
            throttling: stored.flag("throttling").unwrap_or(false),
            eventual_consistency: stored.flag("eventual_consistency").unwrap_or(false),
            verify_poll_urls: stored.flag("verify_poll_urls").unwrap_or(true),
            page_size: stored
                .int("page_size")
                .and_then(|size| usize::try_from(size).ok())
                .filter(|size| *size > 0)
                .unwrap_or(50),
            by_hand: false,
            enforce_roles: stored.flag("enforce_roles").unwrap_or(false),
            owners: stored.list("owners").iter().filter_map(|id| id.as_str().map(str::to_owned)).collect(),
            newest_api_version: stored.text("newest_api_version").map(str::to_owned),
            latency: stored.list("latency").to_vec(),
        }
    }

    /// The settings as `GET /_emulator/` shows them.
    pub fn show(&self) -> Json {
        Json::object()
            .with("time_scale", self.time_scale.map_or(Json::Null, Json::from))
            .with("clock_offset_seconds", self.clock_offset as f64 / clock::SECOND as f64)
            .with("recorded_polling", self.recorded_polling)
            .with("require_token", self.require_token)
            .with("auto_create_resource_groups", self.auto_create_resource_groups)
            .with("throttling", self.throttling)
            .with("eventual_consistency", self.eventual_consistency)
            .with("verify_poll_urls", self.verify_poll_urls)
            .with("page_size", self.page_size as i64)
            .with("enforce_roles", self.enforce_roles)
            .with("owners", self.owners.iter().map(|id| Json::from(id.as_str())).collect::<Vec<_>>())
            .with("newest_api_version", self.newest_api_version.as_deref().map_or(Json::Null, Json::from))
            .with("latency", self.latency.clone())
    }

    /// How long a kind of work takes.
    pub fn duration(&self, work: Work) -> Ticks {
        let (real, quick) = work.seconds();
        clock::seconds(match self.time_scale {
            // Short work is polled at once, so every client without retries would hit the lag. Only eventual consistency
            // enables it.
            None if work == Work::NestedLag && !self.eventual_consistency => 0.0,
            None => quick,
            Some(scale) if scale > 0.0 => real / scale,
            Some(_) => 0.0,
        })
    }

    /// How long scripted work, with a duration of the caller's choice, takes: exactly that long, unless the emulator's time is
    /// scaled.
    pub fn scaled(&self, seconds: f64) -> Ticks {
        clock::seconds(match self.time_scale {
            None => seconds,
            Some(scale) if scale > 0.0 => seconds / scale,
            Some(_) => 0.0,
        })
    }

    /// The value of Retry-After in seconds; `recorded` is the service's value.
    pub fn retry_after(&self, recorded: Option<u32>) -> Option<u32> {
        if self.recorded_polling {
            return recorded;
        }
        match self.time_scale {
            Some(scale) if scale > 0.0 && scale < 10.0 => {
                recorded.map(|wait| (f64::from(wait) / scale).ceil().max(1.0) as u32)
            }
            _ => Some(1),
        }
    }
}

/// Work that takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Work {
    GalleryPut,
    GalleryDelete,
    DefinitionPut,
    DefinitionDelete,
    VersionCreate,
    VersionUpdate,
    VersionRestore,
    VersionDelete,
    ImagePut,
    ImageDelete,
    Share,
    MachinePut,
    MachineDelete,
    Deallocate,
    PowerOff,
    Start,
    Capture,
    DiskPut,
    DiskDelete,
    GroupDelete,
    /// How long a parent still sees a deleted child.
    NestedLag,
    /// How long a new resource is not found yet, with eventual consistency.
    ReadLag,
    /// How long Resource Graph lags behind a change, with eventual consistency.
    GraphLag,
    /// How long the directory does not find a new principal, with eventual consistency.
    PrincipalLag,
    /// How long the activity log lacks a new event, with eventual consistency.
    LogLag,
    /// Run Command, excluding the script itself.
    RunCommand,
    TemplatePut,
    TemplatePatch,
    TemplateDelete,
    TemplateRun,
    TemplateCancel,
    /// How long the agent of a new machine takes to become ready.
    AgentStart,
    /// How long the log of a started machine takes to appear.
    BootLog,
}

impl Work {
    /// Median seconds of Azure (endTime minus startTime), and the demo durations.
    fn seconds(self) -> (f64, f64) {
        match self {
            Work::GalleryPut => (0.3, 0.15),
            Work::GalleryDelete => (0.1, 0.1),
            Work::DefinitionPut => (0.1, 0.15),
            Work::DefinitionDelete => (0.2, 0.1),
            Work::VersionCreate => (428.0, 2.4),
            Work::VersionUpdate => (332.0, 1.8),
            Work::VersionRestore => (150.0, 1.2),
            Work::VersionDelete => (135.0, 0.4),
            Work::ImagePut => (5.2, 1.0),
            Work::ImageDelete => (5.1, 0.3),
            Work::Share => (1.2, 0.2),
            Work::MachinePut => (30.0, 0.8),
            Work::MachineDelete => (30.0, 0.4),
            Work::Deallocate => (30.0, 1.0),
            Work::PowerOff => (8.0, 0.6),
            Work::Start => (15.0, 0.6),
            Work::Capture => (0.25, 0.2),
            Work::DiskPut | Work::DiskDelete => (0.4, 0.2),
            Work::GroupDelete => (60.0, 0.5),
            Work::NestedLag => (20.0, 0.3),
            Work::ReadLag => (3.0, 0.3),
            Work::GraphLag => (30.0, 0.5),
            Work::PrincipalLag => (37.0, 0.5),
            Work::LogLag => (20.0, 0.5),
            Work::RunCommand => (10.0, 0.3),
            Work::TemplatePut => (20.0, 0.3),
            Work::TemplatePatch => (3.0, 0.2),
            Work::TemplateDelete => (140.0, 0.4),
            Work::TemplateRun => (950.0, 3.0),
            Work::TemplateCancel => (60.0, 0.5),
            Work::AgentStart => (20.0, 0.3),
            Work::BootLog => (30.0, 0.3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_follow_the_time_scale() {
        let with =
            |text: &str| Settings::read(Json::parse(text.as_bytes()).ok().as_ref(), &Options::served());
        assert_eq!(with("{}").duration(Work::VersionCreate), 24 * clock::SECOND / 10);
        assert_eq!(with(r#"{"time_scale":1}"#).duration(Work::VersionCreate), 428 * clock::SECOND);
        assert_eq!(with(r#"{"time_scale":0}"#).duration(Work::VersionCreate), 0);
        assert_eq!(with("{}").duration(Work::NestedLag), 0);
        assert_eq!(
            with(r#"{"eventual_consistency":true}"#).duration(Work::NestedLag),
            3 * clock::SECOND / 10
        );
        assert_eq!(with(r#"{"time_scale":1}"#).duration(Work::NestedLag), 20 * clock::SECOND);
        assert_eq!(with("{}").retry_after(None), Some(1));
        assert_eq!(with(r#"{"time_scale":1}"#).retry_after(None), None);
        assert_eq!(with(r#"{"time_scale":1}"#).retry_after(Some(60)), Some(60));
        assert_eq!(with(r#"{"recorded_polling":true}"#).retry_after(None), None);
        assert!(with("{}").require_token);
    }
}
