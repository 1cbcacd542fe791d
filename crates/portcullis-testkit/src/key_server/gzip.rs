use flate2::{Compress, Compression, Crc, FlushCompress, Status};

/// RFC 1952 §2.3: deflated, without a name, a time, or a word on the system.
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// This text, compressed.
pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    gzip_repeating(text, b"", 0, b"")
}

/// `before`, so many times `middle`, and `after`, compressed to one member.
///
/// The middle is compressed once: what begins after a full flush does not refer to what was before
/// it, and so can be said again.
pub(super) fn gzip_repeating(before: &[u8], middle: &[u8], times: u32, after: &[u8]) -> Vec<u8> {
    let mut deflate = Compress::new(Compression::best(), false);
    let mut gzip = HEAD.to_vec();
    let mut check = crc(before);
    gzip.extend(deflated(&mut deflate, before, FlushCompress::Full));
    if times > 0 {
        let block = deflated(&mut deflate, middle, FlushCompress::Full);
        let middle = crc(middle);
        for _ in 0..times {
            gzip.extend_from_slice(&block);
            check.combine(&middle);
        }
    }
    gzip.extend(deflated(&mut deflate, after, FlushCompress::Finish));
    check.combine(&crc(after));
    gzip.extend(check.sum().to_le_bytes());
    gzip.extend(check.amount().to_le_bytes());
    gzip
}

fn deflated(deflate: &mut Compress, text: &[u8], flush: FlushCompress) -> Vec<u8> {
    // Text that cannot be made shorter gets longer by some bytes in each 16 KiB.
    let mut deflated = Vec::with_capacity(text.len() + text.len() / 1024 + 1024);
    let before = deflate.total_in();
    let status = deflate.compress_vec(text, &mut deflated, flush);
    assert!(matches!(status, Ok(Status::Ok | Status::StreamEnd)), "deflate takes any bytes");
    assert_eq!(deflate.total_in() - before, text.len() as u64, "there is room for all of them");
    deflated
}

fn crc(text: &[u8]) -> Crc {
    let mut crc = Crc::new();
    crc.update(text);
    crc
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn unzipped(gzip: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        GzDecoder::new(gzip).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn what_is_compressed_can_be_read() {
        let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        for text in [b"".as_slice(), b"{}", &noise] {
            assert_eq!(unzipped(&gzip(text)), text);
        }
    }

    #[test]
    fn a_repeated_middle_is_one_member_with_the_text() {
        let (before, middle) = (b"one two three", b"three two one, two by two");
        let gzip = gzip_repeating(before, middle, 3, b".");
        assert_eq!(unzipped(&gzip), [before.as_slice(), &middle.repeat(3), b"."].concat());
    }
}
