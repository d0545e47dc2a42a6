//! Which release of Terraform or OpenTofu a command line is, and what it can do since which.
#![allow(dead_code, reason = "each test file uses its own part")]

/// A release, told by its first two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    opentofu: bool,
    version: (u32, u32),
}

impl Release {
    /// Reads what `terraform version` or `tofu version` says first, such as "Terraform v1.15.5".
    pub fn of(told: &str) -> Release {
        let (name, numbers) = told.lines().next().unwrap_or_default().split_once(" v").unwrap_or_default();
        let mut numbers = numbers.split('.').map(|part| part.parse().unwrap_or_default());
        let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        Release { opentofu: name == "OpenTofu", version }
    }

    fn since(self, terraform: (u32, u32), opentofu: (u32, u32)) -> bool {
        self.version >= if self.opentofu { opentofu } else { terraform }
    }

    /// `provider::azimage::…`.
    pub fn has_functions(self) -> bool {
        self.since((1, 8), (1, 7))
    }

    /// `moved` between types of different providers.
    pub fn has_moves(self) -> bool {
        self.since((1, 8), (1, 10))
    }

    /// `import` blocks with an `identity`.
    pub fn has_identities(self) -> bool {
        self.since((1, 12), (1, 12))
    }

    /// `list` blocks and `terraform query`.
    pub fn has_queries(self) -> bool {
        !self.opentofu && self.version >= (1, 14)
    }

    /// `action` blocks.
    pub fn has_actions(self) -> bool {
        self.has_queries()
    }

    /// Whether the provider is asked for the configuration of what is imported. Older ones, and OpenTofu, make it up themselves.
    pub fn asks_for_configuration(self) -> bool {
        !self.opentofu && self.version >= (1, 14)
    }
}
