# The newest of the images that a pipeline names by date.
data "azimage_managed_image" "example" {
  name_regex          = "^golden-\\d{4}-\\d{2}$"
  resource_group_name = "images-rg"
  newest              = true
}

output "image" {
  value = data.azimage_managed_image.example.id
}
