# Each environment uses the newest version that satisfies its constraint.

run "three_environments" {
  assert {
    condition     = output.environments == { dev = "2.0.0", qa = "1.1.0", prod = "1.0.12" }
    error_message = "An environment runs an unexpected version."
  }
}

run "an_excluded_version_is_nobodys_latest" {
  variables {
    versions = ["1.0.0", "1.0.12", "1.1.0", "2.0.0", "3.0.0"]
  }

  assert {
    condition     = output.environments["dev"] == "2.0.0"
    error_message = "dev runs a release candidate."
  }
}
