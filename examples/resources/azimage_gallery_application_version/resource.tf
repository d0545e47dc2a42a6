resource "azimage_gallery" "example" {
  name                = "golden"
  resource_group_name = "images-rg"
  location            = "eastus"
}

resource "azimage_gallery_application" "example" {
  name              = "monitoring-agent"
  gallery_id        = azimage_gallery.example.id
  supported_os_type = "Linux"
}

variable "package_token" {
  description = "A SAS token with permission to read the package"
  type        = string
  sensitive   = true
  default     = "sv=2024-11-04&sp=r&sig=example"
}

resource "azimage_gallery_application_version" "example" {
  name                   = "2.3.0"
  gallery_application_id = azimage_gallery_application.example.id
  package_file           = "agent.tar.gz"
  end_of_life_date       = "2030-01-01T00:00:00Z"

  # Machines with the old version keep working while the new one is rolled out.
  deletion_policy = "retain"

  source {
    media_link = "https://packages.blob.core.windows.net/agents/agent-2.3.0.tar.gz?${var.package_token}"
  }

  manage_action {
    install = "tar -xzf agent.tar.gz -C /opt && /opt/agent/install.sh"
    update  = "tar -xzf agent.tar.gz -C /opt && /opt/agent/update.sh"
    remove  = "/opt/agent/uninstall.sh"
  }

  target_region {
    name                   = "eastus"
    regional_replica_count = 2
  }

  target_region {
    name                 = "westeurope"
    storage_account_type = "Standard_ZRS"
  }
}
