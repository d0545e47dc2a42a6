# Without an offer the names are offers; with one they are skus; without a publisher they are publishers.
data "azimage_marketplace_catalog" "example" {
  location   = "eastus"
  publisher  = "Canonical"
  name_regex = "^0001-com-ubuntu-server-"
}

output "ubuntu_offers" {
  value = data.azimage_marketplace_catalog.example.names
}
