//! Multicast groups: who has joined what, and where.

use super::UdpSocket;
use crate::inet::address::Ip;
use crate::inet::ip::membership;
use crate::interface;
use alloc::vec::Vec;
use fs::{FsError, FsResult};
use hal::sync::SpinLock;

/// Most groups of one socket (net.ipv4.igmp_max_memberships).
const GROUPS_MAX: usize = 20;

/// Groups of the machine: address, interface, how many sockets.
static JOINED: SpinLock<Vec<(Ip, u32, u32)>> = SpinLock::new(Vec::new());

impl UdpSocket {
    pub(super) fn change_group(&self, join: bool, group: Ip, interface: u32) -> FsResult<()> {
        if !group.is_multicast() {
            return Err(FsError::Invalid);
        }
        let table = interface::table();
        let interface = match interface {
            0 => table.path(group, 0).map_err(|_| FsError::NoDevice)?.interface,
            named => table.interface(named).ok_or(FsError::NoDevice)?.index,
        };
        let mut state = self.state.lock();
        let place = state.groups.iter().position(|known| *known == (group, interface));
        match (join, place) {
            (true, Some(_)) => return Err(FsError::AddressInUse),
            (true, None) if state.groups.len() >= GROUPS_MAX => return Err(FsError::NoBuffers),
            (true, None) => state.groups.push((group, interface)),
            (false, Some(place)) => {
                state.groups.swap_remove(place);
            }
            (false, None) => return Err(FsError::AddressNotAvailable),
        }
        drop(state);
        if join {
            joined(group, interface)
        } else {
            left(&[(group, interface)])
        }
        Ok(())
    }

    pub(super) fn is_in(&self, group: Ip, interface: u32) -> bool {
        self.state.lock().groups.contains(&(group, interface))
    }
}

fn joined(group: Ip, interface: u32) {
    {
        let mut all = JOINED.lock();
        if let Some(known) = all.iter_mut().find(|known| known.0 == group && known.1 == interface) {
            known.2 += 1;
            return;
        }
        all.push((group, interface, 1));
    }
    membership::joined(group, interface);
}

pub(super) fn left(groups: &[(Ip, u32)]) {
    for &(group, interface) in groups {
        let is_last = {
            let mut all = JOINED.lock();
            let place = all.iter().position(|known| known.0 == group && known.1 == interface);
            place.is_some_and(|place| {
                all[place].2 -= 1;
                let is_last = all[place].2 == 0;
                if is_last {
                    all.swap_remove(place);
                }
                is_last
            })
        };
        if is_last {
            membership::left(group, interface);
        }
    }
}

/// The groups that sockets have joined on the interface.
pub(crate) fn joined_on(interface: u32) -> Vec<Ip> {
    JOINED.lock().iter().filter(|known| known.1 == interface).map(|known| known.0).collect()
}

/// Whether some socket has joined the group on the interface.
pub(crate) fn is_joined(group: Ip, interface: u32) -> bool {
    JOINED.lock().iter().any(|known| known.0 == group && known.1 == interface)
}
