# The version is published, but not used as the latest version yet.
resource "azimage_image_test" "example" {
  image_version_id    = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04/versions/1.0.0"
  resource_group_name = "image-tests-rg"
  subnet_id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/image-tests-rg/providers/Microsoft.Network/virtualNetworks/tests/subnets/machines"

  check {
    name   = "the service runs"
    script = "systemctl is-active nginx"
  }

  check {
    name    = "no package waits for an update"
    script  = "test -z \"$(apt-get -s upgrade | grep '^Inst')\""
    timeout = "5m"
  }

  # repeats the test even if nothing else has changed
  keepers = { month = "2026-11" }
}

output "boot_seconds" {
  value = azimage_image_test.example.boot_seconds
}
