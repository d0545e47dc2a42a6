# The Packer template. The comments mark what is missing in many tutorials.

packer {
  # plugins are not part of Packer: packer init installs this one
  required_plugins {
    azure = {
      source  = "github.com/hashicorp/azure"
      version = "~> 2"
    }
  }
}

variable "subscription_id" {
  type = string
}

variable "release" {
  type        = string
  description = "Three numbers, such as 1.4.2."
}

variable "base" {
  type        = string
  description = "The exact version of the base image, from the azimage_marketplace_pin."
}

locals {
  gallery_image = "/subscriptions/${var.subscription_id}/resourceGroups/images/providers/Microsoft.Compute/galleries/images/images/web"
}

source "azure-arm" "web" {
  # credentials; without them, Packer waits for a code that is entered in a browser
  use_azure_cli_auth = true
  subscription_id    = var.subscription_id
  location           = "eastus"
  vm_size            = "Standard_D2s_v5"

  # required, but missing in templates for other clouds
  os_type = "Linux"

  # the source image, and its exact version
  image_publisher = "Canonical"
  image_offer     = "0001-com-ubuntu-server-jammy"
  image_sku       = "22_04-lts-gen2"
  image_version   = var.base

  # publishes directly to the gallery. A managed image instead needs two arguments together: managed_image_name and
  # managed_image_resource_group_name
  shared_image_gallery_destination {
    subscription   = var.subscription_id
    resource_group = "images"
    gallery_name   = "images"
    image_name     = "web"
    image_version  = var.release

    target_region {
      name     = "eastus"
      replicas = 2
    }
  }
}

build {
  sources = ["source.azure-arm.web"]

  provisioner "shell" {
    execute_command = "sudo env {{ .Vars }} sh {{ .Path }}"
    inline          = ["apt-get -q update", "apt-get -q -y install nginx"]
  }

  # the last provisioner removes the identity of this machine
  provisioner "shell" {
    execute_command = "sudo env {{ .Vars }} sh {{ .Path }}"
    inline          = ["cloud-init clean --logs --machine-id", "waagent -deprovision+user -force"]
  }

  # the hand-over to Terraform: Packer appends each run to this file
  post-processor "manifest" {
    output     = "packer-manifest.json"
    strip_path = true

    custom_data = {
      # a build that also creates a managed image records only that image, so record the version here
      image_version_id = "${local.gallery_image}/versions/${var.release}"
      base             = var.base
    }
  }
}
