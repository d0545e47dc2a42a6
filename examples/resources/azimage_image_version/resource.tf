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

  identifier {
    publisher = "platform-engineering"
    offer     = "ubuntu"
    sku       = "24.04"
  }
}

resource "azimage_managed_image" "example" {
  name                = "ubuntu-24.04-1.0.0"
  resource_group_name = "images-rg"
  location            = "eastus"

  capture {
    virtual_machine_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/virtualMachines/golden-vm"
  }
}

resource "azimage_image_version" "example" {
  version             = "1.0.0"
  image_definition_id = azimage_image_definition.example.id
  end_of_life_date    = "2030-01-01T00:00:00Z"

  # A rebuilt image must not destroy the version that production can roll back to.
  deletion_policy = "retain"

  source {
    managed_image_id = azimage_managed_image.example.id
  }

  target_region {
    name                   = "eastus"
    regional_replica_count = 2
  }

  target_region {
    name                   = "westeurope"
    regional_replica_count = 2
    storage_account_type   = "Standard_ZRS"
  }
}
