use super::*;
use crate::virtio::transport::fake::{FakeTransport, Queues};
use std::vec::Vec;

/// Fills each buffer with 0x5a and says that it wrote `told` of its length.
fn answering(told: fn(u32) -> u32) -> impl FnMut(&mut Queues) -> bool {
    move |queues| {
        let Some(device) = queues.get_mut(&0) else { return false };
        let Some(chain) = device.take() else { return false };
        let (address, len, _) = chain.buffers[0];
        // SAFETY: a buffer that the driver gave and waits for.
        unsafe { device.bytes(address, len) }.fill(0x5a);
        device.give_back(chain.head.into(), told(len))
    }
}

/// One test, because the registry keeps one device.
#[test]
fn devices_fill_or_fail_but_never_hang() {
    let transport = FakeTransport::new(0, Vec::new(), 8);
    let running = transport.run(answering(|len| len.min(100)));
    start(transport.clone()).expect("starts");
    let device = hil::entropy().expect("registered");
    let mut bytes = [0; 300];
    assert_eq!(device.fill(&mut bytes), Ok(100));
    assert!(bytes[..100].iter().all(|byte| *byte == 0x5a) && bytes[100] == 0);
    assert_eq!(device.fill(&mut []), Ok(0));
    drop(running);
    assert_eq!(device.fill(&mut bytes), Err(EntropyError::Broken), "silent");

    for lie in [|len: u32| len + 1, |_| 0] {
        let transport = FakeTransport::new(0, Vec::new(), 8);
        let _running = transport.run(answering(lie));
        start(transport.clone()).expect("starts");
        let device = hil::entropy().expect("registered");
        assert_eq!(device.fill(&mut bytes), Err(EntropyError::Broken));
        assert_eq!(device.fill(&mut bytes), Err(EntropyError::Broken));
    }
}
