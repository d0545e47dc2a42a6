# No Azure account: everything happens in a file, and every plan says so.
provider "azimage" {
  environment = "emulator"
}
