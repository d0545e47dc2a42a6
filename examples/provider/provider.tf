terraform {
  required_providers {
    azimage = {
      source  = "azimage/azimage"
      version = "~> 0.1"
    }
  }
}

# Credentials come from the same arguments and ARM_* environment variables as azurerm's.
provider "azimage" {
  subscription_id = "00000000-0000-0000-0000-000000000000"

  default_tags = {
    team = "platform-engineering"
  }

  # Stops common mistakes at plan time.
  guardrails {
    deny_latest      = true
    minimum_replicas = 2
    required_tags    = ["os"]
  }
}
