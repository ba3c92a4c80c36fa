//! A segment's header and options, read and written (RFC 9293, 3.1; RFC 7323; RFC 2018).

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const PSH: u8 = 8;
pub(crate) const ACK: u8 = 16;

/// Most blocks of selective acknowledgements in one segment, beside timestamps.
pub(crate) const SACKS_MAX: usize = 3;

/// A header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    /// As in the header, not scaled.
    pub window: u16,
    pub mss: Option<u16>,
    pub scale: Option<u8>,
    pub sack_permitted: bool,
    /// Timestamp value and echo reply.
    pub stamp: Option<(u32, u32)>,
    pub sacks: [(u32, u32); SACKS_MAX],
    pub sack_count: usize,
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

impl Head {
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn sacks(&self) -> &[(u32, u32)] {
        &self.sacks[..self.sack_count]
    }

    /// Ports, header and payload; `None` for what is no segment.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(u16, u16, Head, &[u8])> {
        let fixed = bytes.get(..20)?;
        let len = usize::from(fixed[12] >> 4) * 4;
        let options = bytes.get(20..len)?;
        let mut head = Head {
            seq: word(fixed, 4)?,
            ack: word(fixed, 8)?,
            flags: fixed[13] & 0x3f,
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            ..Head::default()
        };
        head.read_options(options);
        let port = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        Some((port(0), port(2), head, &bytes[len..]))
    }

    /// Options that make no sense end the list.
    fn read_options(&mut self, mut rest: &[u8]) {
        while let Some(&kind) = rest.first() {
            if kind == 0 {
                return;
            }
            if kind == 1 {
                rest = &rest[1..];
                continue;
            }
            let Some(&len) = rest.get(1) else { return };
            let Some((option, behind)) = rest.split_at_checked(usize::from(len)).filter(|_| len >= 2) else { return };
            let body = &option[2..];
            match (kind, body.len()) {
                (2, 2) => self.mss = Some(u16::from_be_bytes([body[0], body[1]])),
                (3, 1) => self.scale = Some(body[0].min(14)),
                (4, 0) => self.sack_permitted = true,
                (8, 8) => self.stamp = word(body, 0).zip(word(body, 4)),
                (5, _) => {
                    for block in body.chunks_exact(8) {
                        if self.sack_count < SACKS_MAX
                            && let (Some(from), Some(to)) = (word(block, 0), word(block, 4))
                        {
                            self.sacks[self.sack_count] = (from, to);
                            self.sack_count += 1;
                        }
                    }
                }
                _ => {}
            }
            rest = behind;
        }
    }

    /// Bytes of the header with its options.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        let mut len = 20;
        len += if self.mss.is_some() { 4 } else { 0 };
        len += if self.scale.is_some() { 4 } else { 0 };
        len += if self.sack_permitted { 4 } else { 0 };
        len += if self.stamp.is_some() { 12 } else { 0 };
        len + if self.sack_count > 0 { 4 + 8 * self.sack_count } else { 0 }
    }

    /// Writes the header, checksum zero, to `out`, which has [`Self::len`] bytes.
    #[inline]
    pub(crate) fn write(&self, ports: (u16, u16), out: &mut [u8]) {
        let words = out.len() as u8 / 4;
        let Some((fixed, options)) = out.split_first_chunk_mut::<20>() else { return };
        fixed[..2].copy_from_slice(&ports.0.to_be_bytes());
        fixed[2..4].copy_from_slice(&ports.1.to_be_bytes());
        fixed[4..8].copy_from_slice(&self.seq.to_be_bytes());
        fixed[8..12].copy_from_slice(&self.ack.to_be_bytes());
        fixed[12] = words << 4;
        fixed[13] = self.flags;
        fixed[14..16].copy_from_slice(&self.window.to_be_bytes());
        fixed[16..].fill(0);
        if !options.is_empty() {
            self.write_options(options);
        }
    }

    fn write_options(&self, out: &mut [u8]) {
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        if let Some(mss) = self.mss {
            put(&[2, 4]);
            put(&mss.to_be_bytes());
        }
        if let Some(scale) = self.scale {
            put(&[1, 3, 3, scale]);
        }
        if self.sack_permitted {
            put(&[1, 1, 4, 2]);
        }
        if let Some((value, echo)) = self.stamp {
            put(&[1, 1, 8, 10]);
            put(&value.to_be_bytes());
            put(&echo.to_be_bytes());
        }
        if self.sack_count > 0 {
            put(&[1, 1, 5, 2 + 8 * self.sack_count as u8]);
            for (from, to) in self.sacks() {
                put(&from.to_be_bytes());
                put(&to.to_be_bytes());
            }
        }
    }
}
