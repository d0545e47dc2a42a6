# Machines of hashicorp/azurerm that use images of this provider: a scale set from a gallery, and a machine from a pinned
# Marketplace image with a plan.

terraform {
  required_providers {
    azimage = {
      source = "azimage/azimage"
    }
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.0"
    }
  }
}

variable "image_definition_id" {
  type        = string
  description = "The image definition of the scale set."
}

variable "resource_group_name" {
  type        = string
  description = "The resource group of the machines."
}

variable "subnet_id" {
  type        = string
  description = "The network of the machines."
}

variable "network_interface_id" {
  type        = string
  description = "The network interface of the single machine."
}

variable "ssh_public_key" {
  type        = string
  description = "The name of the administrator."
}

provider "azimage" {}

provider "azurerm" {
  features {}
}

# One exact version, resolved at plan: the newest 1.x version that is replicated to this region.
data "azimage_image_version" "web" {
  image_definition_id = var.image_definition_id
  version             = "~> 1.0"
  location            = "westeurope"
}

resource "azurerm_linux_virtual_machine_scale_set" "web" {
  name                = "web"
  resource_group_name = var.resource_group_name
  location            = "westeurope"
  sku                 = "Standard_D2s_v5"
  instances           = 3
  admin_username      = "operator"
  source_image_id     = data.azimage_image_version.web.id

  admin_ssh_key {
    username   = "operator"
    public_key = var.ssh_public_key
  }

  network_interface {
    name    = "web"
    primary = true

    ip_configuration {
      name      = "web"
      primary   = true
      subnet_id = var.subnet_id
    }
  }

  os_disk {
    caching              = "ReadOnly"
    storage_account_type = "Standard_LRS"
  }
}

# A firewall from the Marketplace, with accepted terms, a pinned version, and a purchase plan.
data "azimage_marketplace_image" "firewall" {
  location  = "westeurope"
  publisher = "fortinet"
  offer     = "fortinet_fortigate-vm_v5"
  sku       = "fortinet_fg-vm_payg_2023"
  version   = "~> 7.4.0"
}

resource "azimage_marketplace_agreement" "firewall" {
  publisher = data.azimage_marketplace_image.firewall.plan.publisher
  offer     = data.azimage_marketplace_image.firewall.plan.product
  plan      = data.azimage_marketplace_image.firewall.plan.name
}

resource "azimage_marketplace_pin" "firewall" {
  location = "westeurope"
  urn      = data.azimage_marketplace_image.firewall.urn
  keepers  = { maintenance = "2026-q4" }
}

resource "azurerm_linux_virtual_machine" "firewall" {
  name                  = "firewall"
  resource_group_name   = var.resource_group_name
  location              = "westeurope"
  size                  = "Standard_F4s_v2"
  admin_username        = "operator"
  network_interface_ids = [var.network_interface_id]

  admin_ssh_key {
    username   = "operator"
    public_key = var.ssh_public_key
  }

  source_image_reference {
    publisher = azimage_marketplace_pin.firewall.publisher
    offer     = azimage_marketplace_pin.firewall.offer
    sku       = azimage_marketplace_pin.firewall.sku
    version   = azimage_marketplace_pin.firewall.version
  }

  plan {
    name      = data.azimage_marketplace_image.firewall.plan.name
    publisher = data.azimage_marketplace_image.firewall.plan.publisher
    product   = data.azimage_marketplace_image.firewall.plan.product
  }

  os_disk {
    caching              = "ReadWrite"
    storage_account_type = "Standard_LRS"
  }

  depends_on = [azimage_marketplace_agreement.firewall]
}
