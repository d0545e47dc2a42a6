data "azimage_gallery" "example" {
  name                = "golden"
  resource_group_name = "images-rg"
}

output "images" {
  value = data.azimage_gallery.example.image_definition_names
}
