# Switching colours changes which version is live, and nothing else.

variables {
  # the tests clean up after themselves
  live = "blue"
}

run "blue" {
  command = plan

  assert {
    condition     = azimage_image_version.shop["blue"].exclude_from_latest == false
    error_message = "The live colour is excluded."
  }
}

run "green" {
  command = plan

  variables {
    live = "green"
  }

  assert {
    condition     = azimage_image_version.shop["blue"].exclude_from_latest == true
    error_message = "The idle colour is not excluded."
  }
}
