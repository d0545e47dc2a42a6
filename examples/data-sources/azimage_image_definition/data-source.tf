data "azimage_gallery" "example" {
  name                = "golden"
  resource_group_name = "images-rg"
}

data "azimage_image_definition" "example" {
  name       = "ubuntu-24.04"
  gallery_id = data.azimage_gallery.example.id
}

output "generation" {
  value = data.azimage_image_definition.example.hyper_v_generation
}
