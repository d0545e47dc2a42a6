terraform import azimage_marketplace_pin.example 'eastus|Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2:22.04.202410020'
