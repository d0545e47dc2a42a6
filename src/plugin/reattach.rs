//! Debug mode: the variable that makes Terraform use a provider that is already running.

use super::{address::Address, launch::PROTOCOL};
use serde_json::json;

/// The addresses of this provider: each tool has its own registry.
const SOURCES: [&str; 2] = ["registry.terraform.io/azimage/azimage", "registry.opentofu.org/azimage/azimage"];

/// The value of `TF_REATTACH_PROVIDERS`. With `Test` the host does not end a process that it did not start.
pub fn providers(address: &Address, pid: u32) -> String {
    let provider = json!({
        "Protocol": "grpc",
        "ProtocolVersion": PROTOCOL,
        "Pid": pid,
        "Test": true,
        "Addr": { "Network": address.network(), "String": address.to_string() },
    });
    serde_json::Map::from_iter(SOURCES.map(|source| (source.to_owned(), provider.clone())))
        .into_iter()
        .collect::<serde_json::Value>()
        .to_string()
}

/// The instructions that are printed once a host can connect.
pub fn instructions(address: &Address, pid: u32) -> String {
    // A single quote cannot be escaped inside single quotes.
    let providers = providers(address, pid).replace('\'', r"'\''");
    format!(
        "The provider is running. To use it, set this variable where you run terraform or tofu:\n\n\
         \tTF_REATTACH_PROVIDERS='{providers}'\n\n\
         Runs with it set need no init and share this process. Ctrl-C here ends it.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_this_process_for_both_registries() {
        let text = providers(&Address::Unix("/tmp/a/socket".into()), 42);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = json!({
            "Protocol": "grpc", "ProtocolVersion": 5, "Pid": 42, "Test": true,
            "Addr": { "Network": "unix", "String": "/tmp/a/socket" },
        });
        for source in ["registry.terraform.io/azimage/azimage", "registry.opentofu.org/azimage/azimage"] {
            assert_eq!(value[source], expected, "{source}");
        }
        assert_eq!(value.as_object().unwrap().len(), 2);
    }

    #[test]
    fn quotes_the_variable_for_the_shell() {
        let text = instructions(&Address::Unix("/tmp/it's/socket".into()), 42);
        assert!(text.contains(r"/tmp/it'\''s/socket"), "{text}");
        assert!(text.contains("\n\tTF_REATTACH_PROVIDERS='{"), "{text}");
        assert!(text.contains("}'\n"), "{text}");
    }
}
