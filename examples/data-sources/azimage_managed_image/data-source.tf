# The newest image of a pipeline that puts the date into the name.
data "azimage_managed_image" "example" {
  name_regex          = "^golden-\\d{4}-\\d{2}$"
  resource_group_name = "images-rg"
  newest              = true
}

output "image" {
  value = data.azimage_managed_image.example.id
}
