//! Resources that a recording shows and whose creation was not kept: created from what a client must have sent.

use azimage::emulator::json::Json;

/// A resource that a recording shows without the request that created it.
pub struct Created {
    /// The recording.
    pub file: &'static str,
    /// The exchange that shows the resource.
    pub shown: i64,
    /// The exchange before which it is created; 0 is before the first one.
    pub before: i64,
    /// How many seconds after its creation the recording continues.
    pub seconds: i64,
}

const fn created(file: &'static str, shown: i64, before: i64, seconds: i64) -> Created {
    Created { file, shown, before, seconds }
}

/// The resources whose creation was not kept.
pub const CREATED: &[Created] = &[
    created("test_vm_trusted_launch", 12, 0, 3_600),
    created("test_vm_with_shared_gallery_image_usage", 59, 0, 3_600),
    created("test_vm_with_shared_gallery_image_usage", 73, 0, 3_600),
    created("test_vm_with_community_gallery_image_usage", 57, 0, 3_600),
    created("test_vm_with_community_gallery_image_usage", 69, 0, 3_600),
    created("test_vm_boot_diagnostics", 20, 0, 3_600),
    // The agent of the machine is not ready yet.
    created("test_run_command_v2", 11, 11, 40),
    created("test_gallery_e2e", 101, 101, 3_600),
    created("test_image_build_managed_image", 56, 56, 3_600),
];

/// A request that a recording lacks.
pub struct Request {
    /// The recording.
    pub file: &'static str,
    /// The exchange before which it is sent; 0 is before the first one.
    pub before: i64,
    /// Its method.
    pub method: &'static str,
    /// Its URL.
    pub url: &'static str,
    /// Its body.
    pub body: &'static str,
}

const fn request(
    file: &'static str,
    before: i64,
    method: &'static str,
    url: &'static str,
    body: &'static str,
) -> Request {
    Request { file, before, method, url, body }
}

/// Requests that recordings lack, in order.
pub const REQUESTS: &[Request] = &[
    request(
        "test_vmss_reimage_instances",
        0,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_vmss_reimage_000001/providers/Microsoft.Compute/virtualMachineScaleSets/vmss000002?api-version=2022-11-01",
        r#"{"location":"westus","tags":{},"sku":{"name":"Standard_DS1_v2","tier":"Standard","capacity":4},"properties":{"overprovision":true,"upgradePolicy":{"mode":"manual"},"virtualMachineProfile":{"storageProfile":{"imageReference":{"publisher":"OpenLogic","offer":"CentOS","sku":"7.5","version":"latest"},"osDisk":{"createOption":"FromImage","caching":"ReadWrite","managedDisk":{"storageAccountType":"Premium_LRS"}}},"osProfile":{"computerNamePrefix":"vmssj2431","adminUsername":"vmtest","linuxConfiguration":{"disablePasswordAuthentication":true,"ssh":{"publicKeys":[{"path":"/home/vmtest/.ssh/authorized_keys","keyData":"<ssh-key>"}]}}},"networkProfile":{"networkInterfaceConfigurations":[{"name":"vmssj2431Nic","properties":{"primary":true,"ipConfigurations":[{"name":"vmssj2431IPConfig","properties":{"subnet":{"id":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_vmss_reimage_000001/providers/Microsoft.Network/virtualNetworks/vmss000002VNET/subnets/vmss000002Subnet"},"loadBalancerBackendAddressPools":[{"id":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_vmss_reimage_000001/providers/Microsoft.Network/loadBalancers/vmss000002LB/backendAddressPools/vmss000002LBBEPool"}],"loadBalancerInboundNatPools":[{"id":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_vmss_reimage_000001/providers/Microsoft.Network/loadBalancers/vmss000002LB/inboundNatPools/vmss000002LBNatPool"}]}}]}}]}}}}"#,
    ),
    // The service creates more instances than it is asked for, and deletes the first two.
    request(
        "test_vmss_reimage_instances",
        0,
        "POST",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_vmss_reimage_000001/providers/Microsoft.Compute/virtualMachineScaleSets/vmss000002/delete?api-version=2022-11-01",
        r#"{"instanceIds":["0","1"]}"#,
    ),
    request(
        "manual_2026_excerpts",
        11,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_gallery_soft_delete_policy_000001/providers/Microsoft.Compute/virtualMachines/vm1?api-version=2022-11-01",
        r#"{"location":"westus","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux"}}}}"#,
    ),
    request(
        "manual_2026_excerpts",
        11,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_gallery_soft_delete_policy_000001/providers/Microsoft.Compute/galleries/sig_000002/images/img_000003?api-version=2026-03-03",
        r#"{"location":"westus","properties":{"osType":"Linux","osState":"Specialized","hyperVGeneration":"V1","architecture":"x64","identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#,
    ),
    request(
        "manual_2026_excerpts",
        11,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_gallery_soft_delete_policy_000001/providers/Microsoft.Compute/galleries/sig_000002/images/img_000003/versions/1.1.1?api-version=2026-03-03",
        r#"{"location":"westus","tags":{},"properties":{"storageProfile":{"source":{"virtualMachineId":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_gallery_soft_delete_policy_000001/providers/Microsoft.Compute/virtualMachines/vm1"}}}}"#,
    ),
    request(
        "manual_2026_excerpts",
        11,
        "DELETE",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_gallery_soft_delete_policy_000001/providers/Microsoft.Compute/galleries/sig_000002/images/img_000003/versions/1.1.1?api-version=2026-03-03",
        "",
    ),
    request(
        "manual_2026_excerpts",
        17,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001/providers/Microsoft.Compute/virtualMachines/vm?api-version=2022-11-01",
        r#"{"location":"eastus","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux"}}}}"#,
    ),
    request(
        "manual_2026_excerpts",
        17,
        "POST",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001/providers/Microsoft.Compute/virtualMachines/vm/deallocate?api-version=2022-11-01",
        "",
    ),
    request(
        "manual_2026_excerpts",
        17,
        "POST",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001/providers/Microsoft.Compute/virtualMachines/vm/generalize?api-version=2022-11-01",
        "",
    ),
    request(
        "manual_2026_excerpts",
        17,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001/providers/Microsoft.Compute/images/captured000005?api-version=2022-11-01",
        r#"{"location":"eastus","properties":{"hyperVGeneration":"V1","sourceVirtualMachine":{"id":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001/providers/Microsoft.Compute/virtualMachines/vm"}}}"#,
    ),
    request(
        "manual_2026_excerpts",
        17,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001/providers/Microsoft.Compute/galleries/gallery_000003?api-version=2024-03-03",
        r#"{"location":"eastus"}"#,
    ),
    request(
        "manual_2026_excerpts",
        17,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001/providers/Microsoft.Compute/galleries/gallery_000003/images/image000004?api-version=2024-03-03",
        r#"{"location":"eastus","properties":{"osType":"Linux","osState":"Generalized","hyperVGeneration":"V1","architecture":"x64","identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#,
    ),
    request(
        "manual_2026_excerpts",
        17,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001/providers/Microsoft.Compute/galleries/gallery_000003/images/image000004/versions/1.1.1?api-version=2024-03-03",
        r#"{"location":"eastus","tags":{},"properties":{"publishingProfile":{"endOfLifeDate":"2026-12-31T12:59:59Z"},"safetyProfile":{"blockDeletionBeforeEndOfLife":false},"storageProfile":{"source":{"id":"/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001/providers/Microsoft.Compute/images/captured000005"}}}}"#,
    ),
    request(
        "aso_Test_Compute_Image_20220301_CRUD",
        22,
        "DELETE",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/asotest-rg-hitcxz?api-version=2022-09-01",
        "",
    ),
    // A subscription has one gallery of a name.
    request(
        "manual_2026_excerpts",
        18,
        "DELETE",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/cli_test_image_version_end_of_life_date_000001?api-version=2022-09-01",
        "",
    ),
    request(
        "manual_2026_excerpts",
        18,
        "PUT",
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/clitest.rg000001/providers/Microsoft.Compute/galleries/gallery_000003?api-version=2021-10-01",
        r#"{"location":"eastus2"}"#,
    ),
    request(
        "manual_2026_excerpts",
        19,
        "PUT",
        "/subscriptions/e37510d7-33b6-4676-886f-ee75bcc01871/resourceGroups/crptestps3328?api-version=2022-09-01",
        r#"{"location":"eastus2"}"#,
    ),
    request(
        "manual_2026_excerpts",
        21,
        "PUT",
        "/subscriptions/e37510d7-33b6-4676-886f-ee75bcc01871/resourceGroups/crptestps3328/providers/Microsoft.Compute/virtualMachines/testvmgallery?api-version=2022-11-01",
        r#"{"location":"eastus2","properties":{"storageProfile":{"osDisk":{"createOption":"FromImage","osType":"Linux"}}}}"#,
    ),
    request(
        "manual_2026_excerpts",
        21,
        "PUT",
        "/subscriptions/e37510d7-33b6-4676-886f-ee75bcc01871/resourceGroups/crptestps3328/providers/Microsoft.Compute/galleries/gallerycrptestps3328/images/imageDefcrptestps3328?api-version=2024-03-03",
        r#"{"location":"eastus2","properties":{"osType":"Linux","osState":"Specialized","hyperVGeneration":"V1","architecture":"x64","identifier":{"publisher":"p","offer":"o","sku":"s"}}}"#,
    ),
];

/// The members that the service adds to a body.
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
/// The members that the service adds to the OS profile of a machine or scale set.
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
        remove(&mut body, path);
    }
    for path in ADDED_TO_SYSTEM {
        remove(&mut body, &format!("properties.osProfile.{path}"));
        remove(&mut body, &format!("properties.virtualMachineProfile.osProfile.{path}"));
    }
    let mut disks = shown.list("properties.storageProfile.dataDisks").to_vec();
    for disk in &mut disks {
        for path in ["managedDisk.id", "deleteOption", "toBeDetached"] {
            remove(disk, path);
        }
    }
    if !disks.is_empty() {
        body.entry("properties").entry("storageProfile").set("dataDisks", disks);
    }
    body
}

fn remove(object: &mut Json, path: &str) {
    match path.split_once('.') {
        Some((outer, inner)) if object.get(outer).is_some() => remove(object.entry(outer), inner),
        Some(_) => {}
        None => {
            object.remove(path);
        }
    }
}
