import {
  to = azimage_marketplace_agreement.example
  id = "/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.MarketplaceOrdering/agreements/resf/offers/rockylinux-x86_64/plans/9-lvm"
}
