list "azimage_gallery" "production" {
  provider = azimage

  config {
    resource_group_name = "images-rg"
    tags = {
      stage = "production"
    }
  }
}
