//! The heap as an object of its own; the tests' own memory comes from std.

use core::alloc::{GlobalAlloc, Layout};

use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;

use super::{KernelHeap, class};

/// The tests share the heap and one of them counts its frames: one at a time.
static TURN: Mutex<()> = Mutex::new(());
const HEAP: KernelHeap = KernelHeap::new();

struct Block {
    ptr: *mut u8,
    layout: Layout,
    fill: u8,
}

impl Block {
    fn new(layout: Layout, fill: u8) -> Self {
        // SAFETY: no layout here is empty.
        let ptr = unsafe { HEAP.alloc(layout) };
        assert!(!ptr.is_null());
        assert_eq!(ptr as usize % layout.align(), 0);
        // SAFETY: the block is ours and has this size.
        unsafe { ptr.write_bytes(fill, layout.size()) };
        Block { ptr, layout, fill }
    }

    fn check(&self, len: usize) {
        // SAFETY: the block is ours and has been filled.
        let bytes = unsafe { core::slice::from_raw_parts(self.ptr, len) };
        assert!(bytes.iter().all(|&byte| byte == self.fill), "somebody wrote into a block of {:?}", self.layout);
    }

    fn free(self) {
        self.check(self.layout.size());
        // SAFETY: it came from this heap with this layout.
        unsafe { HEAP.dealloc(self.ptr, self.layout) };
    }

    fn resize(&mut self, size: usize) {
        let kept = self.layout.size().min(size);
        // SAFETY: as above; the size is not 0.
        self.ptr = unsafe { HEAP.realloc(self.ptr, self.layout, size) };
        assert!(!self.ptr.is_null());
        self.check(kept);
        self.layout = Layout::from_size_align(size, self.layout.align()).expect("small");
        // SAFETY: the block has the new size now.
        unsafe { self.ptr.write_bytes(self.fill, size) };
    }
}

#[test]
fn every_layout_gets_a_class_that_holds_it() {
    for size in 1..=2048 {
        for align in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048] {
            let layout = Layout::from_size_align(size, align).expect("valid");
            let class = class::index(&layout).expect("small enough");
            assert!(class::size(class) >= size);
            assert!(align <= 16 || class::size(class).is_multiple_of(align));
        }
    }
    assert_eq!(class::index(&Layout::from_size_align(2049, 8).expect("valid")), None);
    assert_eq!(class::index(&Layout::from_size_align(8, 4096).expect("valid")), None);
}

#[test]
fn blocks_larger_than_two_mebibytes_work() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut block = Block::new(Layout::from_size_align(5 << 20, 4096).expect("valid"), 7);
    block.resize(7 << 20);
    block.resize(100);
    block.free();
}

#[derive(Clone, Debug)]
enum Op {
    Alloc { size: usize, align: u32 },
    Free(usize),
    Resize(usize, usize),
}

fn op() -> impl Strategy<Value = Op> {
    let size = prop_oneof![8 => 1..3000usize, 1 => 3000..200_000usize];
    prop_oneof![
        4 => (size.clone(), 0..9u32).prop_map(|(size, align)| Op::Alloc { size, align }),
        3 => any::<usize>().prop_map(Op::Free),
        1 => (any::<usize>(), size).prop_map(|(which, size)| Op::Resize(which, size)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Blocks keep their contents and never overlap (each is filled with its own byte).
    #[test]
    fn blocks_keep_their_contents(ops in proptest::collection::vec(op(), 0..300)) {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut blocks = Vec::new();
        for (i, op) in ops.into_iter().enumerate() {
            match op {
                Op::Alloc { size, align } => {
                    blocks.push(Block::new(Layout::from_size_align(size, 1 << align).expect("valid"), i as u8));
                }
                Op::Free(which) if !blocks.is_empty() => blocks.swap_remove(which % blocks.len()).free(),
                Op::Resize(which, size) if !blocks.is_empty() => {
                    let which = which % blocks.len();
                    blocks[which].resize(size);
                }
                _ => {}
            }
        }
        blocks.into_iter().for_each(Block::free);
    }
}

#[test]
fn slabs_go_back_to_the_frame_allocator() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let layout = Layout::from_size_align(512, 8).expect("valid");
    let blocks: Vec<Block> = (0..4000).map(|i| Block::new(layout, i as u8)).collect();
    let high = super::used_bytes();
    blocks.into_iter().for_each(Block::free);
    assert!(super::used_bytes() + 300 * 4096 < high);
}
