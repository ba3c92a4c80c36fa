//! Data volumes: mounted before the first program, made whole after the last one.

use alloc::string::String;
use alloc::vec::Vec;
use fs::Namespace;

/// Mounts the data volumes. The error is a line for the user.
#[cfg(feature = "volumes")]
pub fn mount(namespace: &Namespace, volumes: &[wire::Volume]) -> Result<(), String> {
    use alloc::format;
    for volume in volumes {
        let path = String::from_utf8_lossy(&volume.path).into_owned();
        let device = hal::hil::block_by_identity(&volume.serial)
            .ok_or_else(|| format!("the volume for {path} is missing: no disk has the serial {}", volume.serial))?;
        let mounted = fs::volume::Ext4::mount(device, volume.read_only)
            .map_err(|reason| format!("the volume for {path} cannot be mounted: {reason}"))?;
        crate::root::mount_at(namespace, &path, mounted, &volume.serial)?;
    }
    Ok(())
}

/// Writes everything back. One line for the user for each volume that could not be made whole.
#[cfg(feature = "volumes")]
pub fn close() -> Vec<String> {
    fs::volume::close_all()
}

/// This kernel has no ext4: the host tool boots one that has, where there are volumes.
#[cfg(not(feature = "volumes"))]
pub fn mount(_namespace: &Namespace, volumes: &[wire::Volume]) -> Result<(), String> {
    if volumes.is_empty() {
        return Ok(());
    }
    Err(String::from("this kernel was built without volumes: build it with cargo kernel-fast --features volumes"))
}

/// Nothing to write back.
#[cfg(not(feature = "volumes"))]
pub fn close() -> Vec<String> {
    Vec::new()
}
