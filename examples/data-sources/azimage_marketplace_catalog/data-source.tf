# Lists the offers of a publisher. With an offer it lists the SKUs, and without a publisher the publishers.
data "azimage_marketplace_catalog" "example" {
  location   = "eastus"
  publisher  = "Canonical"
  name_regex = "^0001-com-ubuntu-server-"
}

output "ubuntu_offers" {
  value = data.azimage_marketplace_catalog.example.names
}
