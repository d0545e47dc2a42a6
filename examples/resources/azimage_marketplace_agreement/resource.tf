data "azimage_marketplace_image" "example" {
  location = "eastus"
  urn      = "resf:rockylinux-x86_64:9-lvm:latest"
}

# Without the acceptance no machine can be made from an image that has a plan.
resource "azimage_marketplace_agreement" "example" {
  publisher = data.azimage_marketplace_image.example.plan.publisher
  offer     = data.azimage_marketplace_image.example.plan.product
  plan      = data.azimage_marketplace_image.example.plan.name
}
