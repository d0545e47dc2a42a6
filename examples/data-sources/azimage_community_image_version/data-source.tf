data "azimage_community_image_version" "example" {
  location            = "eastus"
  public_gallery_name = "golden-5d1f0c4e-7a2b-4c39-9e55-1b0c8a6d2f10"
  image_name          = "ubuntu-24.04"
  version             = "~> 1.0"
}

output "image" {
  value = data.azimage_community_image_version.example.id
}
