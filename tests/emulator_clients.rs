//! The served emulator with the Azure CLI and the Azure SDK for Python, following the tutorial of a golden image.
//!
//! `AZIMAGE_AZ` names the `az` to use (default: the one on `PATH`), `AZIMAGE_PYTHON` a Python with `azure-mgmt-compute` and
//! `azure-identity`. Where they are absent the tests are reported as ignored.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "support/external.rs"]
#[macro_use]
mod external;
#[path = "support/cli.rs"]
mod support;

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use support::{HEAD, Served, Workspace, terraform, versions};

/// The default subscription of a client.
const FIRST: &str = "00000000-0000-0000-0000-000000000000";

/// An Azure CLI with a private configuration, logged in to an emulator.
struct Az {
    program: PathBuf,
    home: tempfile::TempDir,
    bundle: PathBuf,
}

impl Az {
    fn log_in(program: PathBuf, served: &Served) -> Az {
        let home = tempfile::tempdir().unwrap();
        let az = Az { program, home, bundle: served.dir.path().join("tls/ca.pem") };
        az.ok("config set core.instance_discovery=false core.collect_telemetry=no");
        let url = &served.url;
        az.ok(&format!(
            "cloud register -n emulator --endpoint-resource-manager {url} --endpoint-active-directory {url} \
             --endpoint-active-directory-resource-id {url} --endpoint-active-directory-graph-resource-id {url} \
             --endpoint-vm-image-alias-doc {url}/_emulator/aliases.json"
        ));
        az.ok("cloud set -n emulator");
        az.ok("login --service-principal -u 33333333-3333-3333-3333-333333333333 -p secret --tenant 11111111-1111-1111-1111-111111111111");
        az
    }

    /// Returns whether the command succeeded, its standard output as JSON if it is JSON, and its standard error. `line` is
    /// split at spaces.
    fn run(&self, line: &str) -> (bool, Value, String) {
        let mut command = Command::new(&self.program);
        command.args(line.split_whitespace()).args(["--only-show-errors"]);
        if !["config ", "cloud "].iter().any(|start| line.starts_with(start)) {
            command.args(["-o", "json"]);
        }
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("ARM_") || name.starts_with("AZURE_"))
        {
            command.env_remove(name);
        }
        let output = command
            .env("AZURE_CONFIG_DIR", self.home.path())
            .env("REQUESTS_CA_BUNDLE", &self.bundle)
            .env("NO_PROXY", "127.0.0.1,localhost")
            .env("no_proxy", "127.0.0.1,localhost")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), serde_json::from_slice(&output.stdout).unwrap_or_default(), stderr)
    }

    #[track_caller]
    fn ok(&self, line: &str) -> Value {
        let (good, answer, stderr) = self.run(line);
        assert!(good, "az {line}\n{stderr}{answer:#}");
        answer
    }

    #[track_caller]
    fn refused(&self, line: &str, says: &str) {
        let (good, answer, stderr) = self.run(line);
        assert!(
            !good && stderr.to_lowercase().contains(&says.to_lowercase()),
            "az {line}\nnothing like {says:?} in: {stderr}{answer:#}"
        );
    }
}

/// The given field of each list entry.
fn each(list: &Value, field: &str) -> Vec<String> {
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .map(|entry| entry.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned())
        .collect()
}

/// The configuration of the tutorial's resources, as its author would write it afterwards.
const TUTORIAL: &str = r#"
provider "azimage" {}

import {
  to = azimage_managed_image.golden
  id = "COMPUTE/images/golden-image"
}
resource "azimage_managed_image" "golden" {
  name                = "golden-image"
  resource_group_name = "my-rg"
  location            = "eastus"
  hyper_v_generation  = "V2"
  capture {
    virtual_machine_id = "COMPUTE/virtualMachines/golden-vm"
  }
}

import {
  to = azimage_gallery.golden
  id = "COMPUTE/galleries/golden"
}
resource "azimage_gallery" "golden" {
  name                = "golden"
  resource_group_name = "my-rg"
  location            = "eastus"
  description         = "Images"
  tags                = { team = "platform" }
}

import {
  to = azimage_image_definition.web
  id = "COMPUTE/galleries/golden/images/web"
}
resource "azimage_image_definition" "web" {
  name               = "web"
  gallery_id         = azimage_gallery.golden.id
  os_type            = "Linux"
  hyper_v_generation = "V2"
  security_type      = "TrustedLaunchSupported"
  end_of_life_date   = "2039-01-01T00:00:00Z"
  tags               = { team = "platform" }
  recommended {
    minimum_vcpus     = 2
    maximum_vcpus     = 8
    minimum_memory_gb = 4
    maximum_memory_gb = 32
  }
  identifier {
    publisher = "contoso"
    offer     = "web"
    sku       = "standard"
  }
}

import {
  to = azimage_image_version.one
  id = "COMPUTE/galleries/golden/images/web/versions/1.0.0"
}
resource "azimage_image_version" "one" {
  version             = "1.0.0"
  image_definition_id = azimage_image_definition.web.id
  end_of_life_date    = "2038-06-01T00:00:00Z"
  exclude_from_latest = true
  tags                = { commit = "abc", stage = "test" }
  source {
    managed_image_id = azimage_managed_image.golden.id
  }
  target_region {
    name                   = "eastus"
    regional_replica_count = 2
  }
  target_region {
    name                 = "westeurope"
    storage_account_type = "Standard_ZRS"
  }
  target_region {
    name                   = "westus2"
    regional_replica_count = 3
  }
}

import {
  to = azimage_image_version.two
  id = "COMPUTE/galleries/golden/images/web/versions/1.1.0"
}
resource "azimage_image_version" "two" {
  version             = "1.1.0"
  image_definition_id = azimage_image_definition.web.id
  source {
    image_version_id = azimage_image_version.one.id
  }
  target_region {
    name = "eastus"
  }
}

import {
  to = azimage_image_version.three
  id = "COMPUTE/galleries/golden/images/web/versions/1.2.0"
}
resource "azimage_image_version" "three" {
  version             = "1.2.0"
  image_definition_id = azimage_image_definition.web.id
  source {
    virtual_machine_id = "COMPUTE/virtualMachines/golden-vm"
  }
  target_region {
    name                   = "eastus"
    regional_replica_count = 2
  }
}

import {
  to = azimage_image_version.four
  id = "COMPUTE/galleries/golden/images/web/versions/1.3.0"
}
resource "azimage_image_version" "four" {
  version             = "1.3.0"
  image_definition_id = azimage_image_definition.web.id
  source {
    os_disk {
      snapshot_id = "COMPUTE/snapshots/os"
    }
    data_disk {
      lun         = 0
      snapshot_id = "COMPUTE/snapshots/data"
    }
  }
  target_region {
    name = "eastus"
  }
}

import {
  to = azimage_gallery.shared
  id = "COMPUTE/galleries/shared"
}
resource "azimage_gallery" "shared" {
  name                = "shared"
  resource_group_name = "my-rg"
  location            = "eastus"
  sharing {
    permission       = "Groups"
    subscription_ids = ["77aa0000-0000-0000-0000-000000000001"]
  }
}

import {
  to = azimage_gallery.community
  id = "COMPUTE/galleries/community"
}
resource "azimage_gallery" "community" {
  name                = "community"
  resource_group_name = "my-rg"
  location            = "eastus"
  sharing {
    permission = "Community"
    community {
      publisher_uri      = "https://contoso.example"
      publisher_email    = "images@contoso.example"
      eula               = "https://contoso.example/eula"
      public_name_prefix = "contoso"
    }
  }
}

import {
  to = azimage_gallery.kept
  id = "COMPUTE/galleries/kept"
}
resource "azimage_gallery" "kept" {
  name                = "kept"
  resource_group_name = "my-rg"
  location            = "eastus"
  soft_delete {
    enabled = true
  }
}

import {
  to = azimage_marketplace_agreement.fortigate
  id = "/subscriptions/SUBSCRIPTION/providers/Microsoft.MarketplaceOrdering/agreements/fortinet/offers/fortinet_fortigate-vm_v5/plans/fortinet_fg-vm_payg_2023"
}
resource "azimage_marketplace_agreement" "fortigate" {
  publisher = "fortinet"
  offer     = "fortinet_fortigate-vm_v5"
  plan      = "fortinet_fg-vm_payg_2023"
}
"#;

fn azure_cli_runs_the_tutorial_and_terraform_imports_it() {
    let program = external::program("az", "AZIMAGE_AZ", &["az"]);
    let served = Served::start();
    let az = Az::log_in(program, &served);
    let compute = format!("/subscriptions/{FIRST}/resourceGroups/my-rg/providers/Microsoft.Compute");

    machine_and_managed_image(&az);
    gallery_and_versions(&az, &compute);
    marketplace(&az);
    sharing(&az);
    soft_delete(&az, &compute);

    let configuration =
        HEAD.to_owned() + &TUTORIAL.replace("COMPUTE", &compute).replace("SUBSCRIPTION", FIRST);
    for version in versions().into_iter().filter(|version| version != "tofu") {
        let terraform = terraform(&version);
        let mut workspace = Workspace::new(&terraform);
        served.point(&mut workspace);
        workspace.env("ARM_SUBSCRIPTION_ID", FIRST);
        workspace.write("main.tf", &configuration);
        workspace.plan_changes().assert_contains("11 to import, 0 to add, 0 to change, 0 to destroy");
        workspace.apply().ok().assert_contains("11 imported, 0 added, 0 changed, 0 destroyed");
        workspace.assert_no_changes();
    }

    machines(&az, &compute);
    delete_everything(&az);
}

/// Machines from the Marketplace and from the gallery; `az vm create` sends a template.
fn machines(az: &Az, compute: &str) {
    let login =
        "--admin-username azureuser --admin-password Passw0rd-Passw0rd --authentication-type password";
    let version = format!("{compute}/galleries/golden/images/web/versions/1.0.0");
    for (name, image) in [("bought", "Canonical:ubuntu-24_04-lts:server:latest"), ("own", version.as_str())] {
        let made = az.ok(&format!("vm create -g images-rg -n {name} --image {image} {login}"));
        assert_eq!(made["powerState"], "VM running");
        assert_eq!(made["privateIpAddress"], "10.0.0.4");
    }
    let own = az.ok("vm show -g images-rg -n own --query storageProfile.imageReference.id");
    assert_eq!(own, version);
    az.refused(&format!("vm create -g images-rg -n none --image {version}9 {login}"), "not found");
}

fn machine_and_managed_image(az: &Az) {
    az.ok("group create -n images-rg -l eastus --tags team=platform");
    assert_eq!(az.ok("group exists -n images-rg"), true);
    assert!(each(&az.ok("group list"), "/name").contains(&"my-rg".to_owned()));
    az.refused(
        "image create -g my-rg -n golden-image --source golden-vm --hyper-v-generation V2",
        "generalized",
    );
    az.ok("vm deallocate -g my-rg -n golden-vm");
    az.ok("vm generalize -g my-rg -n golden-vm");
    let view = az.ok("vm get-instance-view -g my-rg -n golden-vm --query instanceView.statuses");
    let codes = each(&view, "/code");
    assert!(codes.contains(&"OSState/generalized".to_owned()), "{codes:?}");
    assert!(codes.contains(&"PowerState/deallocated".to_owned()), "{codes:?}");
    let image = az.ok("image create -g my-rg -n golden-image --source golden-vm --hyper-v-generation V2");
    assert_eq!(image["provisioningState"], "Succeeded");
    assert_eq!(image["storageProfile"]["osDisk"]["osState"], "Generalized");
    assert_eq!(each(&az.ok("image list -g my-rg"), "/name"), ["golden-image"]);
    assert_eq!(az.ok("image show -g my-rg -n golden-image")["hyperVGeneration"], "V2");
}

fn gallery_and_versions(az: &Az, compute: &str) {
    let gallery = az.ok("sig create -g my-rg -r golden --description Images --tags team=platform");
    assert_eq!(gallery["provisioningState"], "Succeeded");
    az.ok("sig image-definition create -g my-rg -r golden -i web -p contoso -f web -s standard --os-type Linux --os-state Generalized --hyper-v-generation V2 --end-of-life-date 2039-01-01T00:00:00Z --minimum-cpu-core 2 --maximum-cpu-core 8 --minimum-memory 4 --maximum-memory 32 --features SecurityType=TrustedLaunchSupported --tags team=platform");
    assert_eq!(each(&az.ok("sig image-definition list -g my-rg -r golden"), "/identifier/offer"), ["web"]);
    az.refused(
        "sig image-definition create -g my-rg -r golden -i web -p contoso -f web -s other --os-type Linux --hyper-v-generation V2",
        "changing property",
    );
    let of = "-g my-rg -r golden -i web";
    let one = az.ok(&format!("sig image-version create {of} -e 1.0.0 --managed-image golden-image --target-regions eastus=2 westeurope=1=standard_zrs --replica-count 1 --end-of-life-date 2038-06-01T00:00:00Z --tags commit=abc"));
    assert_eq!(one["provisioningState"], "Succeeded");
    let regions = &one["publishingProfile"]["targetRegions"];
    assert_eq!(each(regions, "/name"), ["East US", "West Europe"]);
    assert_eq!(regions[0]["regionalReplicaCount"], 2);
    assert_eq!(regions[1]["storageAccountType"], "Standard_ZRS");
    az.ok(&format!("sig image-version create {of} -e 1.1.0 --image-version {compute}/galleries/golden/images/web/versions/1.0.0"));
    az.ok(&format!("sig image-version create {of} -e 1.2.0 --virtual-machine {compute}/virtualMachines/golden-vm --target-regions eastus --replica-count 2"));
    az.ok("snapshot create -g my-rg -n os --size-gb 30 --hyper-v-generation V2");
    az.ok("snapshot create -g my-rg -n data --size-gb 10");
    az.ok(&format!("sig image-version create {of} -e 1.3.0 --os-snapshot os --data-snapshots data --data-snapshot-luns 0 --no-wait"));
    az.ok(&format!("sig image-version wait {of} -e 1.3.0 --created --interval 1"));
    az.refused(
        &format!("sig image-version create {of} -e 1.2 --managed-image golden-image"),
        "InvalidParameter",
    );
    let list = az.ok(&format!("sig image-version list {of}"));
    assert_eq!(each(&list, "/name"), ["1.0.0", "1.1.0", "1.2.0", "1.3.0"]);
    let shown = az.ok(&format!("sig image-version show {of} -e 1.0.0 --expand ReplicationStatus"));
    assert_eq!(shown["replicationStatus"]["aggregatedState"], "Completed");
    assert_eq!(each(&shown["replicationStatus"]["summary"], "/state"), ["Completed", "Completed"]);
    az.ok(&format!("sig image-version update {of} -e 1.0.0 --add publishingProfile.targetRegions name=westus2 regionalReplicaCount=3"));
    az.ok(&format!("sig image-version update {of} -e 1.0.0 --set tags.stage=test publishingProfile.excludeFromLatest=true"));
    az.refused(
        &format!("sig image-version update {of} -e 1.0.0 --remove publishingProfile.targetRegions 1"),
        "allowDeletionOfReplicatedLocations",
    );
    az.ok(&format!("sig image-version create {of} -e 9.9.9 --managed-image golden-image"));
    az.ok(&format!("sig image-version delete {of} -e 9.9.9"));
    az.refused(&format!("sig image-version show {of} -e 9.9.9"), "NotFound");
    az.refused("sig image-definition delete -g my-rg -r golden -i web", "nested");
}

fn marketplace(az: &Az) {
    let all =
        az.ok("vm image list --all --publisher Canonical --offer ubuntu-24_04-lts --sku server -l eastus");
    let urns = each(&all, "/urn");
    assert!(
        urns.len() > 2 && urns.iter().all(|urn| urn.starts_with("Canonical:ubuntu-24_04-lts:server")),
        "{urns:?}"
    );
    assert!(!az.ok("vm image list").as_array().unwrap().is_empty());
    let shown = az.ok("vm image show --urn Canonical:ubuntu-24_04-lts:server:latest -l eastus");
    assert_eq!(shown["osDiskImage"]["operatingSystem"], "Linux");
    assert!(each(&az.ok("vm image list-publishers -l eastus"), "/name").contains(&"fortinet".to_owned()));
    assert!(!az.ok("vm image list-offers -l eastus -p Canonical").as_array().unwrap().is_empty());
    assert!(
        !az.ok("vm image list-skus -l eastus -p Canonical -f ubuntu-24_04-lts")
            .as_array()
            .unwrap()
            .is_empty()
    );
    let urn = "--urn fortinet:fortinet_fortigate-vm_v5:fortinet_fg-vm_payg_2023:7.4.4";
    assert_eq!(az.ok(&format!("vm image terms show {urn}"))["accepted"], false);
    assert_eq!(az.ok(&format!("vm image terms accept {urn}"))["accepted"], true);
    assert_eq!(az.ok(&format!("vm image terms cancel {urn}"))["accepted"], false);
    assert_eq!(az.ok(&format!("vm image terms accept {urn}"))["accepted"], true);
}

fn sharing(az: &Az) {
    az.ok("sig create -g my-rg -r shared --permissions groups");
    let one = "77aa0000-0000-0000-0000-000000000001";
    let two = "77aa0000-0000-0000-0000-000000000002";
    let of = "-g my-rg -r shared";
    az.ok(&format!("sig share add {of} --subscription-ids {one} {two} --tenant-ids {two}"));
    let groups = az.ok(&format!("sig show {of} --select Permissions --query sharingProfile.groups"));
    assert_eq!(groups.as_array().map(Vec::len), Some(2), "{groups}");
    az.ok(&format!("sig share remove {of} --subscription-ids {two} --tenant-ids {two}"));
    az.ok("sig create -g my-rg -r unshared --permissions groups");
    az.ok(&format!("sig share add -g my-rg -r unshared --subscription-ids {one}"));
    az.ok("sig share reset -g my-rg -r unshared");
    let permissions = az.ok("sig show -g my-rg -r unshared --query sharingProfile.permissions");
    assert_eq!(permissions, "Private");
    az.ok("sig list-shared -l eastus");

    az.ok("sig create -g my-rg -r community --permissions Community --publisher-uri https://contoso.example --publisher-email images@contoso.example --eula https://contoso.example/eula --public-name-prefix contoso");
    az.ok("sig share enable-community -g my-rg -r community");
    let info = az.ok("sig show -g my-rg -r community --query sharingProfile.communityGalleryInfo");
    assert_eq!(info["communityGalleryEnabled"], true);
    let name = info["publicNames"][0].as_str().unwrap();
    assert!(name.starts_with("contoso-"), "{name}");
    az.ok(&format!("sig show-community --public-gallery-name {name} -l eastus"));
    az.ok(&format!("sig image-definition list-community --public-gallery-name {name} -l eastus"));
}

fn soft_delete(az: &Az, compute: &str) {
    az.ok("sig create -g my-rg -r kept --soft-delete true");
    let of = "-g my-rg -r kept -i web";
    az.ok(&format!("sig image-definition create {of} -p contoso -f web -s standard --os-type Linux --hyper-v-generation V2"));
    az.ok(&format!(
        "sig image-version create {of} -e 1.0.0 --virtual-machine {compute}/virtualMachines/golden-vm"
    ));
    az.ok(&format!("sig image-version delete {of} -e 1.0.0"));
    az.refused(&format!("sig image-version show {of} -e 1.0.0"), "NotFound");
    az.ok(&format!("sig image-version undelete {of} -e 1.0.0 --allow-replicated-location-deletion false"));
    assert_eq!(az.ok(&format!("sig image-version show {of} -e 1.0.0"))["provisioningState"], "Succeeded");
}

fn delete_everything(az: &Az) {
    az.ok("image delete -g my-rg -n golden-image");
    for version in ["1.0.0", "1.1.0", "1.2.0", "1.3.0"] {
        az.ok(&format!("sig image-version delete -g my-rg -r golden -i web -e {version}"));
    }
    // deleted children block their parent for a moment
    std::thread::sleep(std::time::Duration::from_secs(1));
    az.ok("sig image-definition delete -g my-rg -r golden -i web");
    std::thread::sleep(std::time::Duration::from_secs(1));
    az.ok("sig delete -g my-rg -r golden");
    az.ok("lock create -n keep -g images-rg --lock-type CanNotDelete");
    az.refused("group delete -n images-rg --yes", "lock");
    az.ok("lock delete -n keep -g images-rg");
    az.ok("group delete -n images-rg --yes");
    assert_eq!(az.ok("group exists -n images-rg"), false);
}

fn python_sdk_creates_updates_and_deletes_a_gallery() {
    let Some(python) = std::env::var_os("AZIMAGE_PYTHON") else {
        external::skip(
            "python-sdk",
            "AZIMAGE_PYTHON does not name a python with azure-mgmt-compute and azure-identity",
        )
    };
    // azure-identity reads the variables that `run` sets
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/lifecycle.py");
    let mut command = Command::new(support::BINARY);
    command.args(["emulator", "run", "--"]).arg(python).arg(script);
    let ran = support::ran(&command.output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.text);
    ran.assert_contains("all is well");
}

tests!(
    azure_cli_runs_the_tutorial_and_terraform_imports_it,
    python_sdk_creates_updates_and_deletes_a_gallery,
);
