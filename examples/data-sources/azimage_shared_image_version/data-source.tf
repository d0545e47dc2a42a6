data "azimage_shared_image_version" "example" {
  location    = "eastus"
  unique_name = "00000000-0000-0000-0000-000000000000-GOLDEN"
  image_name  = "ubuntu-24.04"
  version     = "~> 1.0"
}

output "image" {
  value = data.azimage_shared_image_version.example.id
}
