# The pin is exact, and stays when its keepers stay.

run "pinned" {
  assert {
    condition     = azimage_marketplace_pin.debian.urn == data.azimage_marketplace_image.debian.urn
    error_message = "The first pin is the newest version."
  }

  assert {
    condition     = azimage_marketplace_pin.debian.upgrade_available == false
    error_message = "Nothing can be newer than the newest."
  }
}
