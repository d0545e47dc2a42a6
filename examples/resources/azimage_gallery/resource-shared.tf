# Shared with two subscriptions of one's own. "Community" shares with everybody. Every change is made in place.
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
