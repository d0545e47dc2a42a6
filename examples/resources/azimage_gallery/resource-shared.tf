# A gallery that is shared with two subscriptions. "Community" shares it with everyone.
resource "azimage_gallery" "shared" {
  name                = "golden_shared"
  resource_group_name = "images-rg"
  location            = "eastus"

  sharing {
    permission = "Groups"
    subscription_ids = [
      "11111111-1111-1111-1111-111111111111",
      "22222222-2222-2222-2222-222222222222",
    ]
  }
}
