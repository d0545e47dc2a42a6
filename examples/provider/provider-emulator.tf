# Uses the built-in emulator, which needs no Azure account. Its state is in a file, and every plan has a warning.
provider "azimage" {
  environment = "emulator"
}
