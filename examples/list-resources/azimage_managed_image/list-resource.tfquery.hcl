list "azimage_managed_image" "all" {
  provider = azimage
}
