resource "azimage_gallery" "example" {
  name                = "golden"
  resource_group_name = "images-rg"
  location            = "eastus"
}

resource "azimage_image_definition" "example" {
  name               = "ubuntu-24.04"
  gallery_id         = azimage_gallery.example.id
  os_type            = "Linux"
  hyper_v_generation = "V2"
  description        = "Ubuntu 24.04, hardened"
  release_note_uri   = "https://images.example.com/ubuntu-24.04"

  security_type                  = "TrustedLaunchSupported"
  accelerated_networking_enabled = true
  disk_controller_types          = ["SCSI", "NVMe"]

  identifier {
    publisher = "platform-engineering"
    offer     = "ubuntu"
    sku       = "24.04"
  }

  recommended {
    minimum_vcpus     = 2
    minimum_memory_gb = 4
  }
}
