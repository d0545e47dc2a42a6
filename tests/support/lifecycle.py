"""A gallery's life by azure-mgmt-compute, against the emulator that the environment names; prints what it found."""

import os

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential, EnvironmentCredential
from azure.mgmt.compute import ComputeManagementClient

base = os.environ["ARM_RESOURCE_MANAGER_ENDPOINT"]
subscription = os.environ["ARM_SUBSCRIPTION_ID"]
if "AZURE_CLIENT_ID" in os.environ:
    credential = EnvironmentCredential(authority=os.environ["AZURE_AUTHORITY_HOST"], disable_instance_discovery=True)
else:
    credential = ClientSecretCredential(
        os.environ["ARM_TENANT_ID"],
        os.environ["ARM_CLIENT_ID"],
        os.environ["ARM_CLIENT_SECRET"],
        authority=base,
        disable_instance_discovery=True,
    )
compute = ComputeManagementClient(credential, subscription, base_url=base, credential_scopes=[base + "/.default"])


def same(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"


def field(resource, name):
    """An attribute, wherever this release of the SDK has it."""
    found = getattr(resource, name, None)
    return found if found is not None else getattr(getattr(resource, "properties", None), name, None)


group, gallery, image = "my-rg", "pythonic", "web"
compute.galleries.begin_create_or_update(group, gallery, {"location": "eastus", "tags": {"a": "b"}}).result()
definition = compute.gallery_images.begin_create_or_update(
    group,
    gallery,
    image,
    {
        "location": "eastus",
        "properties": {
            "osType": "Linux",
            "osState": "Generalized",
            "hyperVGeneration": "V2",
            "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
        },
    },
).result()
same(field(definition, "provisioning_state"), "Succeeded")

compute.virtual_machines.begin_deallocate(group, "golden-vm").result()
compute.virtual_machines.generalize(group, "golden-vm")
machine = compute.virtual_machines.get(group, "golden-vm", expand="instanceView")
codes = [status.code for status in field(machine, "instance_view").statuses]
assert "PowerState/deallocated" in codes and "OSState/generalized" in codes, codes
made = compute.images.begin_create_or_update(
    group,
    "golden",
    {"location": "eastus", "properties": {"sourceVirtualMachine": {"id": machine.id}, "hyperVGeneration": "V2"}},
).result()

versions = compute.gallery_image_versions
for number in ("1.0.0", "1.1.0"):
    version = versions.begin_create_or_update(
        group,
        gallery,
        image,
        number,
        {
            "location": "eastus",
            "properties": {
                "publishingProfile": {
                    "targetRegions": [{"name": "eastus", "regionalReplicaCount": 2}, {"name": "westeurope"}]
                },
                "storageProfile": {"source": {"id": made.id}},
            },
        },
    ).result()
    same(field(version, "provisioning_state"), "Succeeded")
    same([region.name for region in field(version, "publishing_profile").target_regions], ["East US", "West Europe"])
same([version.name for version in versions.list_by_gallery_image(group, gallery, image)], ["1.0.0", "1.1.0"])
seen = versions.get(group, gallery, image, "1.0.0", expand="ReplicationStatus")
same(field(seen, "replication_status").aggregated_state, "Completed")
same(versions.begin_update(group, gallery, image, "1.0.0", {"tags": {"x": "y"}}).result().tags, {"x": "y"})
try:
    compute.gallery_images.begin_delete(group, gallery, image).result()
    raise AssertionError("a definition with versions was deleted")
except HttpResponseError as error:
    same(error.status_code, 409)
for number in ("1.0.0", "1.1.0"):
    versions.begin_delete(group, gallery, image, number).result()
try:
    versions.get(group, gallery, image, "1.0.0")
    raise AssertionError("a deleted version is still there")
except ResourceNotFoundError as error:
    same(error.error.code, "ResourceNotFound")
skus = compute.virtual_machine_images.list("eastus", "Canonical", "ubuntu-24_04-lts", "server", top=2, orderby="name desc")
same(len(list(skus)), 2)
compute.images.begin_delete(group, "golden").result()
print("all is well")
