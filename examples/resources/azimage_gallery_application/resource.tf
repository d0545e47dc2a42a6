resource "azimage_gallery" "example" {
  name                = "golden"
  resource_group_name = "images-rg"
  location            = "eastus"
}

resource "azimage_gallery_application" "example" {
  name              = "monitoring-agent"
  gallery_id        = azimage_gallery.example.id
  supported_os_type = "Linux"
  description       = "Agent of the monitoring platform"
  release_note_uri  = "https://images.example.com/monitoring-agent"

  custom_action {
    name        = "collect-logs"
    script      = "/opt/agent/collect --days \"$DAYS\""
    description = "Collects the logs of the agent"

    parameter {
      name          = "DAYS"
      default_value = "1"
    }
  }
}
