data "azimage_marketplace_image" "example" {
  location = "eastus"
  urn      = "resf:rockylinux-x86_64:9-lvm:latest"
}

# Machines can be created from an image with a plan only after its terms are accepted.
resource "azimage_marketplace_agreement" "example" {
  publisher = data.azimage_marketplace_image.example.plan.publisher
  offer     = data.azimage_marketplace_image.example.plan.product
  plan      = data.azimage_marketplace_image.example.plan.name
}
