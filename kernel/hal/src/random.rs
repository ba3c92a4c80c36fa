//! Random bytes: ChaCha20 keyed by the CPU's generator, the time-stamp counter and entropy devices.

use crate::arch::current as arch;
use crate::sync::SpinLock;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

struct Generator {
    rng: Option<ChaCha20Rng>,
}

static GENERATOR: SpinLock<Generator> = SpinLock::new(Generator { rng: None });

fn mix(seed: &mut [u8; 32], extra: &[u8]) {
    for (index, byte) in extra.iter().enumerate() {
        seed[index % 32] ^= byte;
    }
}

/// Adds outside entropy (virtio-rng). The old state is mixed in, so bad input cannot weaken the generator.
pub fn reseed(entropy: &[u8]) {
    let mut generator = GENERATOR.lock();
    let mut seed = arch::hardware_seed();
    if let Some(rng) = &mut generator.rng {
        let mut old = [0; 32];
        rng.fill_bytes(&mut old);
        mix(&mut seed, &old);
    }
    mix(&mut seed, entropy);
    generator.rng = Some(ChaCha20Rng::from_seed(seed));
}

/// Fills `bytes`. Never blocks: the CPU and the counter seed the generator at the first call.
pub fn fill(bytes: &mut [u8]) {
    // In pieces, so that a large request does not keep interrupts masked for long.
    for piece in bytes.chunks_mut(1024) {
        let mut generator = GENERATOR.lock();
        generator.rng.get_or_insert_with(|| ChaCha20Rng::from_seed(arch::hardware_seed())).fill_bytes(piece);
    }
}

/// A random number.
pub fn next_u64() -> u64 {
    let mut bytes = [0; 8];
    fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}
