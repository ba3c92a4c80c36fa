//! CRC32C as ext4 and JBD2 chain it (raw: neither start value nor result is inverted), and the CRC16 of `uninit_bg`.

use crc::{Algorithm, CRC_16_ARC, Crc, Table};

const CASTAGNOLI: Algorithm<u32> =
    Algorithm { width: 32, poly: 0x1edc_6f41, init: 0, refin: true, refout: true, xorout: 0, check: 0, residue: 0 };
static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CASTAGNOLI);
const ARC: Algorithm<u16> = Algorithm { init: 0xffff, check: 0, residue: 0, ..CRC_16_ARC };
static CRC16: Crc<u16, Table<1>> = Crc::<u16, Table<1>>::new(&ARC);

/// Goes on from `seed` over `bytes`.
pub fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    // The library takes the start value in the unreflected bit order.
    let mut digest = CRC32C.digest_with_initial(seed.reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// Over several pieces, from ones.
pub fn crc16(pieces: &[&[u8]]) -> u16 {
    let mut digest = CRC16.digest();
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

#[cfg(test)]
mod tests {
    #[test]
    fn crc32c_is_castagnoli_and_chains() {
        // The check value of the CRC catalogue, which inverts at both ends.
        assert_eq!(!super::crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(super::crc32c(super::crc32c(!0, b"1234"), b"56789"), super::crc32c(!0, b"123456789"));
    }

    #[test]
    fn crc16_starts_from_ones() {
        // CRC-16/MODBUS is the catalogue's name for ARC from ones.
        assert_eq!(super::crc16(&[b"12345", b"6789"]), 0x4b37);
    }
}
