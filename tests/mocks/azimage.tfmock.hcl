# Mock values for `mock_provider "azimage"` of `terraform test` (Terraform 1.7 and later).
#
# Terraform makes up random text for computed values, and another resource that gets it as an ID refuses it. These values
# have the form that the provider checks. Copy the file to tests/mocks/ of your module and name the folder:
#
#   mock_provider "azimage" {
#     source = "./tests/mocks"
#   }
#
# OpenTofu has no `source` there: copy the blocks into `mock_provider` instead, without the attributes that your
# configuration sets, which OpenTofu refuses.

mock_resource "azimage_gallery" {
  defaults = {
    id                 = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock"
    subscription_id    = "00000000-0000-0000-0000-000000000000"
    unique_name        = "00000000-0000-0000-0000-000000000000-MOCK"
    provisioning_state = "Succeeded"
  }
}

mock_resource "azimage_image_definition" {
  defaults = {
    id                 = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock/images/mock"
    location           = "eastus"
    provisioning_state = "Succeeded"
  }
}

mock_resource "azimage_image_version" {
  defaults = {
    id                 = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock/images/mock/versions/1.0.0"
    location           = "eastus"
    published_date     = "2026-01-01T00:00:00Z"
    provisioning_state = "Succeeded"
    replication_state  = { eastus = "Completed" }
  }
}

mock_resource "azimage_gallery_application" {
  defaults = {
    id                 = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock/applications/mock"
    location           = "eastus"
    provisioning_state = "Succeeded"
  }
}

mock_resource "azimage_gallery_application_version" {
  defaults = {
    id                 = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock/applications/mock/versions/1.0.0"
    location           = "eastus"
    published_date     = "2026-01-01T00:00:00Z"
    provisioning_state = "Succeeded"
    replication_state  = { eastus = "Completed" }
  }
}

mock_resource "azimage_managed_image" {
  defaults = {
    id                 = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/images/mock"
    subscription_id    = "00000000-0000-0000-0000-000000000000"
    provisioning_state = "Succeeded"
  }
}

mock_resource "azimage_image_replication" {
  defaults = {
    id                = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock/images/mock/versions/1.0.0"
    replication_state = { eastus = "Completed" }
  }
}

mock_resource "azimage_marketplace_pin" {
  defaults = {
    publisher = "mock"
    offer     = "mock"
    sku       = "mock"
    version   = "1.0.0"
    image_id  = "/Subscriptions/00000000-0000-0000-0000-000000000000/Providers/Microsoft.Compute/Locations/eastus/Publishers/mock/ArtifactTypes/VMImage/Offers/mock/Skus/mock/Versions/1.0.0"
  }
}

mock_data "azimage_gallery" {
  defaults = {
    id          = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock"
    location    = "eastus"
    unique_name = "00000000-0000-0000-0000-000000000000-MOCK"
  }
}

mock_data "azimage_image_definition" {
  defaults = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock/images/mock"
    location = "eastus"
  }
}

mock_data "azimage_image_version" {
  defaults = {
    id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock/images/mock/versions/1.0.0"
    version       = "1.0.0"
    exact_version = "1.0.0"
    location      = "eastus"
  }
}

mock_data "azimage_managed_image" {
  defaults = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/images/mock"
    location = "eastus"
  }
}

mock_data "azimage_marketplace_image" {
  defaults = {
    urn           = "mock:mock:mock:1.0.0"
    exact_urn     = "mock:mock:mock:1.0.0"
    version       = "1.0.0"
    exact_version = "1.0.0"
    id            = "/Subscriptions/00000000-0000-0000-0000-000000000000/Providers/Microsoft.Compute/Locations/eastus/Publishers/mock/ArtifactTypes/VMImage/Offers/mock/Skus/mock/Versions/1.0.0"
  }
}

mock_data "azimage_community_image_version" {
  defaults = {
    id            = "/communityGalleries/mock-00000000-0000-0000-0000-000000000000/images/mock/versions/1.0.0"
    version       = "1.0.0"
    exact_version = "1.0.0"
  }
}

mock_data "azimage_shared_image_version" {
  defaults = {
    id            = "/sharedGalleries/00000000-0000-0000-0000-000000000000-MOCK/images/mock/versions/1.0.0"
    version       = "1.0.0"
    exact_version = "1.0.0"
  }
}

mock_resource "azimage_builder_template" {
  defaults = {
    id                 = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.VirtualMachineImages/imageTemplates/mock"
    subscription_id    = "00000000-0000-0000-0000-000000000000"
    provisioning_state = "Succeeded"
  }
}

mock_resource "azimage_builder_run" {
  defaults = {
    id                = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.VirtualMachineImages/imageTemplates/mock"
    artifacts         = { mock = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock/images/mock/versions/1.0.0" }
    image_version_ids = ["/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/mock/providers/Microsoft.Compute/galleries/mock/images/mock/versions/1.0.0"]
    started_at        = "2026-01-01T00:00:00Z"
    ended_at          = "2026-01-01T01:00:00Z"
  }
}
