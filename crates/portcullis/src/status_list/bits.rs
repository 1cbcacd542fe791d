//! The statuses themselves: some bits for each token, compressed (Token Status List §4).
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::{Decompress, FlushDecompress, Status};

/// How much room a list is given at first, in bytes.
const FIRST: usize = 4 * 1024;

/// All statuses of a list.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Statuses {
    /// 1, 2, 4 or 8.
    bits: u8,
    bytes: Box<[u8]>,
}

/// What is no list.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unreadable {
    Malformed,
    TooLarge,
}

impl Statuses {
    /// Reads what `lst` says, of at most `limit` bytes when decompressed.
    pub(super) fn read(bits: u8, lst: &str, limit: usize) -> Result<Self, Unreadable> {
        if !matches!(bits, 1 | 2 | 4 | 8) {
            return Err(Unreadable::Malformed);
        }
        let compressed = URL_SAFE_NO_PAD.decode(lst).map_err(|_| Unreadable::Malformed)?;
        let mut bytes = Vec::new();
        inflate(&compressed, limit, &mut bytes)?;
        Ok(Self { bits, bytes: bytes.into() })
    }

    /// The status at this place. `None`: the list ends before it (Token Status List §8.3 step 6).
    pub(super) fn get(&self, index: u64) -> Option<u8> {
        let in_a_byte = u64::from(8 / self.bits);
        let byte = self.bytes.get(usize::try_from(index / in_a_byte).ok()?)?;
        // §4.1: the first status of a byte stands in its least significant bits. Less than 8.
        let shift = (index % in_a_byte) * u64::from(self.bits);
        Some((byte >> shift) & (u8::MAX >> (8 - self.bits)))
    }
}

/// One zlib stream (RFC 1950), and nothing behind it.
fn inflate(compressed: &[u8], limit: usize, bytes: &mut Vec<u8>) -> Result<(), Unreadable> {
    let mut stream = Decompress::new(true);
    let mut rest = compressed;
    loop {
        if bytes.len() == bytes.capacity() {
            // One more than allowed is asked for, to see whether there is more.
            let most = (limit + 1).saturating_sub(bytes.len());
            bytes.reserve_exact(bytes.len().max(FIRST).min(most));
        }
        let (before_in, before_out) = (stream.total_in(), bytes.len());
        let status = stream
            .decompress_vec(rest, bytes, FlushDecompress::None)
            .map_err(|_| Unreadable::Malformed)?;
        if bytes.len() > limit {
            return Err(Unreadable::TooLarge);
        }
        let read = usize::try_from(stream.total_in() - before_in).unwrap_or(usize::MAX);
        rest = rest.get(read..).unwrap_or_default();
        match status {
            Status::StreamEnd if rest.is_empty() => return Ok(()),
            Status::StreamEnd => return Err(Unreadable::Malformed),
            // It was cut off: it neither ends nor goes on.
            _ if read == 0 && bytes.len() == before_out => return Err(Unreadable::Malformed),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;
    use serde::Deserialize;

    use super::*;

    const LIMIT: usize = 4 * 1024 * 1024;

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn lst(bytes: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(zlib(bytes))
    }

    fn all(statuses: &Statuses) -> Vec<u8> {
        (0..).map_while(|index| statuses.get(index)).collect()
    }

    #[test]
    fn the_test_vectors_of_the_draft_read_as_they_must_at_every_place() {
        #[derive(Deserialize)]
        struct Vector {
            bits: u8,
            lst: String,
            /// Places and what stands there. Everywhere else there is a 0.
            statuses: Vec<(usize, u8)>,
        }
        let vectors: Vec<Vector> =
            serde_json::from_str(include_str!("../../tests/vectors/status-lists.json")).unwrap();
        let bits: Vec<_> = vectors.iter().map(|vector| vector.bits).collect();
        assert_eq!(bits, [1, 2, 4, 8]);
        for Vector { bits, lst, statuses } in vectors {
            let mut expected = vec![0; 1 << 20];
            for (index, status) in statuses {
                expected[index] = status;
            }
            let found = all(&Statuses::read(bits, &lst, LIMIT).unwrap());
            assert!(found == expected, "{bits} bits");
        }
    }

    #[test]
    fn the_examples_of_the_draft_read_as_they_must() {
        let read = |bits, lst| all(&Statuses::read(bits, lst, LIMIT).unwrap());
        assert_eq!(read(1, "eNrbuRgAAhcBXQ"), [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1]);
        assert_eq!(read(2, "eNo76fITAAPfAgc"), [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]);
    }

    #[test]
    fn there_is_nothing_behind_the_end_however_large_the_index() {
        for (bits, places) in [(1, 24), (2, 12), (4, 6), (8, 3)] {
            let statuses = Statuses::read(bits, &lst(&[0xff; 3]), LIMIT).unwrap();
            let highest = u8::MAX >> (8 - bits);
            assert_eq!(statuses.get(places - 1), Some(highest), "{bits}");
            for index in [places, places + 1, 1 << 32, 1 << 61, u64::MAX / 8, u64::MAX] {
                assert_eq!(statuses.get(index), None, "{bits}: {index}");
            }
            let empty = Statuses::read(bits, &lst(b""), LIMIT).unwrap();
            assert_eq!(empty.get(0), None, "{bits}");
        }
    }

    #[test]
    fn a_status_has_1_2_4_or_8_bits() {
        for bits in 0..=u8::MAX {
            let is_read = Statuses::read(bits, &lst(b"x"), LIMIT).is_ok();
            assert_eq!(is_read, [1, 2, 4, 8].contains(&bits), "{bits}");
        }
    }

    #[test]
    fn a_list_of_as_many_bytes_as_allowed_is_read_and_of_one_more_is_not() {
        for limit in [1, 7, FIRST - 1, FIRST, FIRST + 1, 2 * FIRST, 3 * FIRST + 5, 100_000] {
            let read = |length| Statuses::read(8, &lst(&vec![1; length]), limit);
            assert_eq!(read(limit).map(|it| it.bytes.len()), Ok(limit), "{limit}");
            assert_eq!(read(limit + 1), Err(Unreadable::TooLarge), "{limit}");
        }
    }

    #[test]
    fn a_bomb_takes_no_more_room_than_is_allowed_and_one_byte() {
        let bomb = zlib(&vec![0; 64 * 1024 * 1024]);
        assert!(bomb.len() < 70_000);
        for limit in [1, 100_000, LIMIT] {
            let mut bytes = Vec::new();
            assert_eq!(inflate(&bomb, limit, &mut bytes), Err(Unreadable::TooLarge));
            assert_eq!(bytes.capacity(), limit + 1);
        }
    }

    #[test]
    fn what_is_not_exactly_one_whole_stream_is_refused() {
        let inflate = |compressed: &[u8], limit| inflate(compressed, limit, &mut Vec::new());
        let whole = zlib(b"one two three one two three");
        assert!(inflate(&whole, LIMIT).is_ok());
        for end in 0..whole.len() {
            assert_eq!(inflate(&whole[..end], LIMIT), Err(Unreadable::Malformed), "up to {end}");
        }
        for behind in [&b"\0"[..], b"x", &whole] {
            let both = [&whole, behind].concat();
            assert_eq!(inflate(&both, LIMIT), Err(Unreadable::Malformed));
        }
        // Its checksum is wrong.
        let mut other = whole.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(inflate(&other, LIMIT), Err(Unreadable::Malformed));
        // Deflate without zlib's frame, and gzip's.
        assert_eq!(inflate(&whole[2..whole.len() - 4], LIMIT), Err(Unreadable::Malformed));
        assert_eq!(inflate(b"\x1f\x8b\x08\0\0\0\0\0\0\xff", LIMIT), Err(Unreadable::Malformed));
    }

    #[test]
    fn a_list_is_strict_base64url() {
        let good = lst(b"some statuses");
        assert!(Statuses::read(1, &good, LIMIT).is_ok());
        for bad in [
            String::new(),
            format!("{good}="),
            format!("{good}\n"),
            format!(" {good}"),
            good.replacen('e', "+", 1),
            format!("{good}é"),
        ] {
            assert_eq!(Statuses::read(1, &bad, LIMIT), Err(Unreadable::Malformed), "{bad:?}");
        }
    }
}
