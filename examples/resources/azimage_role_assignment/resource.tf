# The application team may create machines from this image only.
resource "azimage_role_assignment" "example" {
  scope_id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/images-rg/providers/Microsoft.Compute/galleries/golden/images/ubuntu-24.04"
  role_name      = "Compute Gallery Image Reader"
  principal_id   = "11111111-2222-3333-4444-555555555555"
  principal_type = "ServicePrincipal"
  description    = "Consumers of the golden image"
}
