//! Memory calls: decode, one verb of [`mm::AddressSpace`], encode.

use super::Support::{Accepted, Full, Partial, Refused};
use super::{Call, Errno, Row, SysResult, row};
use crate::process::Process;
use crate::unsupported;
use fs::FileKind;
use hal::addr::{PAGE_SIZE, USER_END};
use linux_raw_sys::general::*;
use mm::space::HugePolicy;
use mm::{Advice, MapError, MapRequest, Placement, Protection, Remap, Sharing};

/// The rows of this family.
pub const ROWS: &[Row] = &[
    row(__NR_mmap, "mmap", "xxxxdx", mmap, Partial, "mmap(2)"),
    row(__NR_munmap, "munmap", "xx", munmap, Full, "munmap(2)"),
    row(__NR_mprotect, "mprotect", "xxx", mprotect, Full, "mprotect(2)"),
    row(__NR_pkey_mprotect, "pkey_mprotect", "xxxd", pkey_mprotect, Partial, "pkey_mprotect(2)"),
    row(__NR_pkey_alloc, "pkey_alloc", "xx", no_keys, Refused, "pkey_alloc(2)"),
    row(__NR_pkey_free, "pkey_free", "d", no_key, Refused, "pkey_free(2)"),
    row(__NR_madvise, "madvise", "xxd", madvise, Partial, "madvise(2)"),
    row(__NR_mremap, "mremap", "xxxxx", mremap, Full, "mremap(2)"),
    row(__NR_msync, "msync", "xxx", msync, Full, "msync(2)"),
    row(__NR_mincore, "mincore", "xxx", mincore, Full, "mincore(2)"),
    row(__NR_brk, "brk", "x", brk, Full, "brk(2)"),
    row(__NR_mlock, "mlock", "xx", mlock, Accepted, "mlock(2)"),
    row(__NR_mlock2, "mlock2", "xxx", mlock, Accepted, "mlock2(2)"),
    row(__NR_munlock, "munlock", "xx", munlock, Accepted, "munlock(2)"),
    row(__NR_mlockall, "mlockall", "x", accept, Accepted, "mlockall(2)"),
    row(__NR_munlockall, "munlockall", "", accept, Accepted, "munlockall(2)"),
    row(__NR_get_mempolicy, "get_mempolicy", "xxxxx", no_numa, Refused, "get_mempolicy(2)"),
    row(__NR_set_mempolicy, "set_mempolicy", "dxx", no_numa, Refused, "set_mempolicy(2)"),
    row(__NR_mbind, "mbind", "xxdxxx", no_numa, Refused, "mbind(2)"),
];

/// mmap's flags that need nothing done: swap and core files do not exist, denied writes are Linux's own past.
const IGNORED_MAP_FLAGS: u32 = MAP_DENYWRITE | MAP_EXECUTABLE | MAP_LOCKED | MAP_NONBLOCK | MAP_UNINITIALIZED;
/// mmap's flags that this file decodes.
const KNOWN_MAP_FLAGS: u32 = MAP_TYPE
    | MAP_FIXED
    | MAP_FIXED_NOREPLACE
    | MAP_ANONYMOUS
    | MAP_NORESERVE
    | MAP_POPULATE
    | MAP_STACK
    | MAP_HUGETLB
    | (MAP_HUGE_MASK << MAP_HUGE_SHIFT)
    | IGNORED_MAP_FLAGS;

fn mmap(call: &mut Call<'_>) -> SysResult {
    let (addr, len, flags, offset) = (call.arg(0), call.arg(1), call.uint(3), call.arg(5));
    if offset % PAGE_SIZE != 0 {
        return Err(Errno::EINVAL);
    }
    // A bad descriptor is told before all else.
    let file = match flags & MAP_ANONYMOUS {
        0 => Some(call.process().files.get(call.int(4))?),
        _ => None,
    };
    if len == 0 {
        return Err(Errno::EINVAL);
    }
    if len > USER_END {
        return Err(Errno::ENOMEM);
    }
    let len = len.next_multiple_of(PAGE_SIZE);
    let placement = placement(addr, flags)?;
    let prot = protection(call.uint(2));
    if let Placement::FixedNoReplace(addr) = placement
        && !mm::space().is_free(addr, len)
    {
        return Err(Errno::EEXIST);
    }
    if file.is_some() && offset.checked_add(len).is_none_or(|end| end > fs::MAX_OFFSET) {
        return Err(Errno::EOVERFLOW);
    }
    let sharing = match flags & MAP_TYPE {
        MAP_PRIVATE => Sharing::Private,
        MAP_SHARED => Sharing::Shared,
        MAP_SHARED_VALIDATE if file.is_none() => return Err(Errno::EINVAL),
        // Linux's list of old flags is without this one.
        MAP_SHARED_VALIDATE if flags & (!KNOWN_MAP_FLAGS | MAP_FIXED_NOREPLACE) != 0 => return Err(Errno::EOPNOTSUPP),
        MAP_SHARED_VALIDATE => Sharing::Shared,
        _ => return Err(Errno::EINVAL),
    };
    if flags & MAP_HUGETLB != 0 {
        // The pool of huge pages is empty; mm uses large pages by itself wherever they fit.
        return Err(Errno::ENOMEM);
    }
    if flags & !KNOWN_MAP_FLAGS != 0 {
        unsupported!("mmap flags", flags & !KNOWN_MAP_FLAGS);
    }
    let mut request = MapRequest { sharing, ..MapRequest::anonymous(len, prot) }.at(placement);
    // MAP_NONBLOCK makes MAP_POPULATE nothing since Linux 2.6.23 (mmap(2)).
    request.populate = flags & (MAP_POPULATE | MAP_NONBLOCK) == MAP_POPULATE;
    request.no_reserve = flags & MAP_NORESERVE != 0;
    request.stack = flags & (MAP_STACK | MAP_GROWSDOWN) != 0;
    if let Some(file) = file
        && let Err(error) = crate::file_context::map_file(&file, offset, &mut request)
    {
        // A socket refuses when what was there has gone already; whatever else cannot be mapped, before that.
        if let (Placement::Fixed(addr), FileKind::Socket) = (placement, file.metadata().kind) {
            mm::space().unmap(addr, len)?;
        }
        return Err(error);
    }
    Ok(mm::space().map(&request)?)
}

fn placement(addr: u64, flags: u32) -> Result<Placement, Errno> {
    let aligned = addr.is_multiple_of(PAGE_SIZE);
    if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE) == 0 {
        let hint = addr & !(PAGE_SIZE - 1);
        return Ok(if hint == 0 || hint >= USER_END { Placement::Any } else { Placement::Hint(hint) });
    }
    if !aligned {
        return Err(Errno::EINVAL);
    }
    if addr >= USER_END {
        return Err(Errno::ENOMEM);
    }
    Ok(if flags & MAP_FIXED_NOREPLACE != 0 { Placement::FixedNoReplace(addr) } else { Placement::Fixed(addr) })
}

#[inline(always)]
fn protection(bits: u32) -> Protection {
    const _: () = assert!(PROT_READ == 1 && PROT_WRITE == 2 && PROT_EXEC == 4);
    Protection::from_bits_truncate(bits as u8)
}

/// `len` rounded up to pages, for a range that starts on a page; `None` when it wraps or leaves the lower half.
fn page_range(start: u64, len: u64) -> Option<u64> {
    let len = len.checked_next_multiple_of(PAGE_SIZE)?;
    if start.checked_add(len)? > USER_END { None } else { Some(len) }
}

/// Whether the end of a range, in whole pages, is a number.
fn wraps_not(start: u64, len: u64) -> bool {
    len.checked_next_multiple_of(PAGE_SIZE).is_some_and(|len| start.checked_add(len).is_some())
}

fn check_aligned(start: u64) -> Result<(), Errno> {
    if start.is_multiple_of(PAGE_SIZE) { Ok(()) } else { Err(Errno::EINVAL) }
}

fn munmap(call: &mut Call<'_>) -> SysResult {
    check_aligned(call.arg(0))?;
    match page_range(call.arg(0), call.arg(1)) {
        None | Some(0) => Err(Errno::EINVAL),
        Some(len) => {
            mm::space().unmap(call.arg(0), len)?;
            Ok(0)
        }
    }
}

fn mprotect(call: &mut Call<'_>) -> SysResult {
    let (start, bits) = (call.arg(0), call.uint(2));
    check_aligned(start)?;
    match page_range(start, call.arg(1)) {
        Some(0) => Ok(0),
        // What wraps is told before the bits, what is only too far behind them.
        None if !wraps_not(start, call.arg(1)) => Err(Errno::ENOMEM),
        _ if bits & !(PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM) != 0 => {
            unsupported!("mprotect protection", bits);
            Err(Errno::EINVAL)
        }
        None => Err(Errno::ENOMEM),
        Some(len) => {
            mm::space().protect(start, len, protection(bits))?;
            Ok(0)
        }
    }
}

/// Protection keys do not exist here (CPUID hides them): only key -1, which is mprotect.
fn pkey_mprotect(call: &mut Call<'_>) -> SysResult {
    if call.int(3) == -1 { mprotect(call) } else { Err(Errno::EINVAL) }
}

fn no_keys(_call: &mut Call<'_>) -> SysResult {
    Err(Errno::ENOSPC)
}

fn no_key(_call: &mut Call<'_>) -> SysResult {
    Err(Errno::EINVAL)
}

/// As a Linux that was built without NUMA.
fn no_numa(_call: &mut Call<'_>) -> SysResult {
    Err(Errno::ENOSYS)
}

fn madvise(call: &mut Call<'_>) -> SysResult {
    let advice = advice(call.uint(2))?;
    check_aligned(call.arg(0))?;
    match page_range(call.arg(0), call.arg(1)) {
        // Linux looks at the areas first here: what lies beyond the end is not mapped.
        None if wraps_not(call.arg(0), call.arg(1)) => Err(Errno::ENOMEM),
        None => Err(Errno::EINVAL),
        Some(0) => Ok(0),
        Some(len) => match mm::space().advise(call.arg(0), len, advice) {
            Ok(()) => Ok(0),
            Err(MapError::Io) if matches!(advice, Advice::PopulateRead | Advice::PopulateWrite) => Err(Errno::EFAULT),
            Err(MapError::NotSupported) => Err(Errno::EINVAL),
            Err(error) => Err(error.into()),
        },
    }
}

fn advice(number: u32) -> Result<Advice, Errno> {
    const DONTNEED_LOCKED: u32 = 24;
    Ok(match number {
        MADV_DONTNEED | DONTNEED_LOCKED => Advice::DontNeed,
        MADV_FREE => Advice::Free,
        MADV_WILLNEED => Advice::WillNeed,
        MADV_HUGEPAGE => Advice::HugePage,
        MADV_NOHUGEPAGE => Advice::NoHugePage,
        MADV_COLLAPSE => Advice::Collapse,
        MADV_POPULATE_READ => Advice::PopulateRead,
        MADV_POPULATE_WRITE => Advice::PopulateWrite,
        MADV_REMOVE => Advice::Remove,
        MADV_NORMAL | MADV_RANDOM | MADV_SEQUENTIAL | MADV_DONTFORK | MADV_DOFORK | MADV_DONTDUMP | MADV_DODUMP
        | MADV_WIPEONFORK | MADV_KEEPONFORK | MADV_COLD | MADV_PAGEOUT => Advice::Neutral,
        _ => {
            unsupported!("madvise advice", number);
            return Err(Errno::EINVAL);
        }
    })
}

fn mremap(call: &mut Call<'_>) -> SysResult {
    let (old, old_len, new_len, flags) = (call.arg(0), call.arg(1), call.arg(2), call.uint(3));
    let (may_move, fixed, keep) =
        (flags & MREMAP_MAYMOVE != 0, flags & MREMAP_FIXED != 0, flags & MREMAP_DONTUNMAP != 0);
    check_aligned(old)?;
    if flags & !(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) != 0 || (fixed || keep) && !may_move {
        return Err(Errno::EINVAL);
    }
    let new_len = page_range(0, new_len).filter(|len| *len > 0).ok_or(Errno::EINVAL)?;
    let target = call.arg(4);
    let how = match (keep, fixed, may_move) {
        (true, true, _) => Remap::KeepOld(Placement::Fixed(target)),
        (true, false, _) => Remap::KeepOld(Placement::Hint(target)),
        (false, true, _) => Remap::Fixed(target),
        (false, false, true) => Remap::MayMove,
        (false, false, false) => Remap::InPlace,
    };
    // An old length that wraps is one of nothing, as on Linux.
    let old_len = old_len.checked_next_multiple_of(PAGE_SIZE).unwrap_or(0);
    match mm::space().remap(old, old_len, new_len, how) {
        Ok(addr) => Ok(addr),
        Err(MapError::NotMapped) => Err(Errno::EFAULT),
        Err(MapError::NotSupported) => Err(Errno::EINVAL),
        Err(error) => Err(error.into()),
    }
}

fn msync(call: &mut Call<'_>) -> SysResult {
    let (start, flags) = (call.arg(0), call.uint(2));
    check_aligned(start)?;
    if flags & !(MS_ASYNC | MS_INVALIDATE | MS_SYNC) != 0 || flags & MS_ASYNC != 0 && flags & MS_SYNC != 0 {
        return Err(Errno::EINVAL);
    }
    // A length that wraps to nothing is one of nothing.
    let len = call.arg(1).checked_next_multiple_of(PAGE_SIZE).unwrap_or(0);
    match page_range(start, len) {
        None => Err(Errno::ENOMEM),
        Some(0) => Ok(0),
        // MS_ASYNC checks the range; the pages are written in their own time.
        Some(len) if flags & MS_SYNC == 0 => {
            mm::space().advise(start, len, Advice::Neutral)?;
            Ok(0)
        }
        Some(len) => {
            mm::space().sync(start, len)?;
            Ok(0)
        }
    }
}

fn mincore(call: &mut Call<'_>) -> SysResult {
    const PAGES_AT_ONCE: u64 = 512;
    let start = call.arg(0);
    check_aligned(start)?;
    let len = page_range(start, call.arg(1)).ok_or(Errno::ENOMEM)?;
    let mut out = crate::uaccess::UserSlice::new(call.arg(2), (len / PAGE_SIZE) as usize);
    let mut at = 0;
    while at < len {
        let count = (len - at).min(PAGES_AT_ONCE * PAGE_SIZE);
        let mut flags = [0u8; PAGES_AT_ONCE as usize];
        let resident = mm::space().resident(start + at, count)?;
        for (flag, is_resident) in flags.iter_mut().zip(&resident) {
            *flag = u8::from(*is_resident);
        }
        out.write(&flags[..resident.len()])?;
        at += count;
    }
    Ok(0)
}

/// The break moves to the address, or stays; the answer is where it is.
fn brk(call: &mut Call<'_>) -> SysResult {
    let wanted = call.arg(0);
    let mut heap = call.process().heap.lock();
    let within_data_limit = wanted.saturating_sub(heap.start) <= call.process().limits.soft(RLIMIT_DATA);
    if wanted >= heap.start && wanted <= USER_END && within_data_limit && move_break(heap.end, wanted).is_ok() {
        heap.end = wanted;
    }
    Ok(heap.end)
}

fn move_break(from: u64, to: u64) -> Result<(), MapError> {
    let (from, to) = (from.next_multiple_of(PAGE_SIZE), to.next_multiple_of(PAGE_SIZE));
    if to > from {
        let mut request = MapRequest::anonymous(to - from, Protection::READ | Protection::WRITE)
            .at(Placement::FixedNoReplace(from))
            .named("[heap]");
        request.huge = HugePolicy::Default;
        mm::space().map(&request).map(|_| ())
    } else if to < from {
        mm::space().unmap(to, from - to)
    } else {
        Ok(())
    }
}

/// Nothing is ever swapped out; locking means to have the pages now.
fn mlock(call: &mut Call<'_>) -> SysResult {
    lock_pages(call, Advice::Lock)
}

fn munlock(call: &mut Call<'_>) -> SysResult {
    lock_pages(call, Advice::Neutral)
}

fn lock_pages(call: &Call<'_>, advice: Advice) -> SysResult {
    let start = call.arg(0) & !(PAGE_SIZE - 1);
    // A length that wraps to nothing is one of nothing, as on Linux.
    let len = call.arg(1).wrapping_add(call.arg(0) - start).wrapping_add(PAGE_SIZE - 1) & !(PAGE_SIZE - 1);
    if len == 0 {
        return Ok(0);
    }
    if !wraps_not(start, len) {
        return Err(Errno::EINVAL);
    }
    let len = page_range(start, len).ok_or(Errno::ENOMEM)?;
    match mm::space().advise(start, len, advice) {
        Ok(()) => Ok(0),
        // Pages that cannot be had, whatever the reason (mlock(2)).
        Err(_) => Err(Errno::ENOMEM),
    }
}

fn accept(_call: &mut Call<'_>) -> SysResult {
    Ok(0)
}

/// RLIMIT_AS and RLIMIT_STACK are mm's to enforce: passes them on.
pub(crate) fn apply_limits(process: &Process) {
    let limits = mm::space().limits();
    mm::space().set_limits(mm::space::Limits {
        address_space_bytes: process.limits.soft(RLIMIT_AS),
        stack_bytes: process.limits.soft(RLIMIT_STACK),
        ..limits
    });
}
