//! Resources that a recording shows and whose creation was not kept: created from what a client must have sent.

use azimage::emulator::json::Json;

/// File, and the exchange that shows the resource.
pub const CREATED: &[(&str, i64)] = &[
    ("test_vm_trusted_launch", 12),
    ("test_vm_with_shared_gallery_image_usage", 59),
    ("test_vm_with_shared_gallery_image_usage", 73),
    ("test_vm_with_community_gallery_image_usage", 57),
    ("test_vm_with_community_gallery_image_usage", 69),
    ("test_vm_boot_diagnostics", 20),
    ("test_run_command_v2", 11),
];

/// Requests that come before a recording: file, method, URL below the resource groups, body.
pub const REQUESTS: &[(&str, &str, &str, &str)] = &[
    (
        "test_vmss_reimage_instances",
        "PUT",
        "cli_test_vmss_reimage_000001/providers/Microsoft.Compute/virtualMachineScaleSets/vmss000002?api-version=2022-11-01",
        r#"{"location":"westus","tags":{},"sku":{"name":"Standard_DS1_v2","tier":"Standard","capacity":4},"properties":{"overprovision":true,"upgradePolicy":{"mode":"manual"},"virtualMachineProfile":{"storageProfile":{"imageReference":{"publisher":"OpenLogic","offer":"CentOS","sku":"7.5","version":"latest"},"osDisk":{"createOption":"FromImage","caching":"ReadWrite","managedDisk":{"storageAccountType":"Premium_LRS"}}},"osProfile":{"computerNamePrefix":"vmssj2431","adminUsername":"vmtest","linuxConfiguration":{"disablePasswordAuthentication":true,"ssh":{"publicKeys":[{"path":"/home/vmtest/.ssh/authorized_keys","keyData":"<ssh-key>"}]}}},"networkProfile":{"networkInterfaceConfigurations":[{"name":"vmssj2431Nic","properties":{"primary":true,"ipConfigurations":[{"name":"vmssj2431IPConfig","properties":{"subnet":{"id":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_vmss_reimage_000001/providers/Microsoft.Network/virtualNetworks/vmss000002VNET/subnets/vmss000002Subnet"},"loadBalancerBackendAddressPools":[{"id":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_vmss_reimage_000001/providers/Microsoft.Network/loadBalancers/vmss000002LB/backendAddressPools/vmss000002LBBEPool"}],"loadBalancerInboundNatPools":[{"id":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_vmss_reimage_000001/providers/Microsoft.Network/loadBalancers/vmss000002LB/inboundNatPools/vmss000002LBNatPool"}]}}]}}]}}}}"#,
    ),
    // The service creates more instances than it is asked for, and deletes the first two.
    (
        "test_vmss_reimage_instances",
        "POST",
        "cli_test_vmss_reimage_000001/providers/Microsoft.Compute/virtualMachineScaleSets/vmss000002/delete?api-version=2022-11-01",
        r#"{"instanceIds":["0","1"]}"#,
    ),
];

/// What the service adds to what it is sent.
const ADDED: &[&str] = &[
    "id",
    "name",
    "type",
    "etag",
    "properties.vmId",
    "properties.uniqueId",
    "properties.provisioningState",
    "properties.instanceView",
    "properties.timeCreated",
    "properties.storageProfile.imageReference.exactVersion",
    "properties.storageProfile.osDisk.managedDisk.id",
    "properties.storageProfile.osDisk.deleteOption",
    "properties.storageProfile.diskControllerType",
    "properties.singlePlacementGroup",
    "properties.orchestrationMode",
    "properties.overprovision",
    "properties.doNotRunExtensionsOnOverprovisionedVMs",
];
/// The same of a profile of an operating system, of a machine or in a scale set.
const ADDED_TO_SYSTEM: &[&str] = &[
    "linuxConfiguration.provisionVMAgent",
    "linuxConfiguration.patchSettings",
    "linuxConfiguration.enableVMAgentPlatformUpdates",
    "secrets",
    "allowExtensionOperations",
    "requireGuestProvisionSignal",
];

/// The body that creates the resource of a response.
pub fn body_of(shown: &Json) -> Json {
    let mut body = shown.clone();
    for path in ADDED {
        take_out(&mut body, path);
    }
    for path in ADDED_TO_SYSTEM {
        take_out(&mut body, &format!("properties.osProfile.{path}"));
        take_out(&mut body, &format!("properties.virtualMachineProfile.osProfile.{path}"));
    }
    let mut disks = shown.list("properties.storageProfile.dataDisks").to_vec();
    for disk in &mut disks {
        for path in ["managedDisk.id", "deleteOption", "toBeDetached"] {
            take_out(disk, path);
        }
    }
    if !disks.is_empty() {
        body.entry("properties").entry("storageProfile").set("dataDisks", disks);
    }
    body
}

fn take_out(object: &mut Json, path: &str) {
    match path.split_once('.') {
        Some((outer, inner)) if object.get(outer).is_some() => take_out(object.entry(outer), inner),
        Some(_) => {}
        None => {
            object.remove(path);
        }
    }
}
