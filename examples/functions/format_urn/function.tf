# "Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:22.04.202410020"
output "urn" {
  value = provider::azimage::format_urn("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "22.04.202410020")
}
