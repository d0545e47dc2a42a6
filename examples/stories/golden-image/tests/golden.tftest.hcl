# Tests the module with terraform test on the emulator, without a cloud.

run "a_version_in_two_regions" {
  assert {
    condition     = azimage_image_version.ubuntu["1.0.0"].replication_state == tomap({ eastus = "Completed", westeurope = "Completed" })
    error_message = "1.0.0 is not replicated to both regions."
  }

  assert {
    condition     = azimage_image_version.ubuntu["1.0.0"].tags_all["team"] == "platform-engineering"
    error_message = "The default tags are missing."
  }

  assert {
    condition     = startswith(output.base, "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:22.04.")
    error_message = "The base image is not the expected one."
  }
}

run "a_second_version_beside_the_first" {
  variables {
    versions = ["1.0.0", "1.1.0"]
  }

  assert {
    condition     = length(azimage_image_version.ubuntu) == 2
    error_message = "There should be two versions."
  }
}
