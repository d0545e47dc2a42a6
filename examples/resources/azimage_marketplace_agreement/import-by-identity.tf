import {
  to = azimage_marketplace_agreement.example
  identity = {
    subscription_id = "00000000-0000-0000-0000-000000000000"
    publisher       = "resf"
    offer           = "rockylinux-x86_64"
    plan            = "9-lvm"
  }
}
