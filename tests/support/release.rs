//! Releases of Terraform and OpenTofu, and the features that each supports.
#![allow(dead_code, reason = "each test file uses its own part")]

/// A release: the product and the first two numbers of its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    opentofu: bool,
    version: (u32, u32),
}

impl Release {
    /// Parses the first line of `terraform version` or `tofu version`, such as "Terraform v1.15.5".
    pub fn of(output: &str) -> Release {
        let (name, numbers) = output.lines().next().unwrap_or_default().split_once(" v").unwrap_or_default();
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

    /// Whether it requests the configuration of imported objects from the provider. Older releases and OpenTofu
    /// generate it themselves.
    pub fn requests_generated_configuration(self) -> bool {
        !self.opentofu && self.version >= (1, 14)
    }
}
