data "azimage_gallery" "example" {
  name                = "golden"
  resource_group_name = "images-rg"
}

data "azimage_gallery_application" "example" {
  name       = "monitoring-agent"
  gallery_id = data.azimage_gallery.example.id
}

output "operating_system" {
  value = data.azimage_gallery_application.example.supported_os_type
}
