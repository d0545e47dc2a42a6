data "azimage_managed_images" "example" {
  resource_group_name = "images-rg"
  name_regex          = "^golden-"
}

output "images" {
  value = data.azimage_managed_images.example.images[*].name
}
