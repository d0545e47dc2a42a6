locals {
  base = provider::azimage::parse_urn("Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:22.04.202410020")
}

# "22_04-lts-gen2"
output "sku" {
  value = local.base.sku
}
