//! Free objects of each vCPU, so that most allocations take no lock.

use core::ptr;

use hal::cpu::MAX_CPUS;

use super::class::{self, CLASSES};
use crate::machine::CpuLocal;

/// Most objects in one magazine.
const CAPACITY: usize = 16;

/// A stack of free objects of one class.
#[derive(Clone, Copy)]
struct Magazine {
    count: usize,
    objects: [*mut u8; CAPACITY],
}

/// One vCPU's magazines.
struct Magazines([Magazine; CLASSES]);

// SAFETY: the pointers are to free memory that whoever holds the magazine owns.
unsafe impl Send for Magazines {}

impl Magazines {
    const EMPTY: Magazines = Magazines([Magazine { count: 0, objects: [ptr::null_mut(); CAPACITY] }; CLASSES]);
}

static MAGAZINES: CpuLocal<Magazines> = CpuLocal::new([const { CpuLocal::slot(Magazines::EMPTY) }; MAX_CPUS]);

/// Objects that a magazine of this class may hold: at most a page's worth.
const fn capacity(class: usize) -> usize {
    let fit = 4096 / class::size(class);
    if fit < CAPACITY { fit } else { CAPACITY }
}

/// Takes an object; null when memory is out.
#[inline]
pub(super) fn take(class: usize) -> *mut u8 {
    MAGAZINES.with(|magazines| {
        let magazine = &mut magazines.0[class];
        if magazine.count == 0 {
            let half = capacity(class).div_ceil(2);
            magazine.count = class::take(class, &mut magazine.objects[..half]);
            if magazine.count == 0 {
                return ptr::null_mut();
            }
        }
        magazine.count -= 1;
        magazine.objects[magazine.count]
    })
}

/// Gives an object back.
#[inline]
pub(super) fn give(class: usize, object: *mut u8) {
    MAGAZINES.with(|magazines| {
        let magazine = &mut magazines.0[class];
        if magazine.count == capacity(class) {
            let half = magazine.count.div_ceil(2);
            class::give(class, &magazine.objects[..half]);
            magazine.objects.copy_within(half..magazine.count, 0);
            magazine.count -= half;
        }
        magazine.objects[magazine.count] = object;
        magazine.count += 1;
    });
}
