resource "azimage_builder_template" "example" {
  name                = "web"
  resource_group_name = "images-rg"
  location            = "eastus"
  build_timeout       = "90m"

  identity {
    identity_ids = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/image-builder"]
  }

  source {
    marketplace_urn = "Canonical:ubuntu-24_04-lts:server:latest"
  }

  customize {
    name = "nginx"
    shell {
      inline = ["sudo apt-get update", "sudo apt-get install -y nginx"]
    }
  }

  customize {
    file {
      source_uri  = "https://example.com/index.html"
      destination = "/var/www/html/index.html"
    }
  }

  validate {
    shell {
      name   = "nginx answers"
      inline = ["curl --fail http://localhost"]
    }
  }

  distribute {
    run_output_name = "gallery"
    image_version {
      image_definition_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/web"
      target_region {
        name = "eastus"
      }
      target_region {
        name          = "westeurope"
        replica_count = 2
      }
    }
  }

  vm_profile {
    vm_size = "Standard_D2s_v5"
  }

  tags = {
    team = "platform"
  }
}
