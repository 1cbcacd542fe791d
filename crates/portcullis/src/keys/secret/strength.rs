//! How a secret is judged: could someone guess it who knows what people type and copy?
//!
//! Against one token, secrets can be tried offline, billions in a second. So a secret has to be
//! random, and its length, which is judged elsewhere, does not make it so. One secret cannot show
//! that it is random; that it is not, it often can. Each rule but the last is asked of the secret
//! (without white space around it) and of what it decodes to (base64, base64url, hexadecimal) or,
//! if it is not text, of the base64 it may come from: some libraries take any text for base64.
//!
//! - **Published**: stands in `published.txt`, in whatever case: defaults and examples of
//!   tutorials, templates, products and RFCs, which are tried first. Or it is the MD5, SHA-1 or SHA-2
//!   hash of one of these, or of nothing, with a newline at the end or without: a hash makes nothing
//!   harder to guess. Or it has Django's prefix for keys that are for development only, or is digits of π or
//!   another famous number. A random secret is in no list.
//! - **All equal**: one byte throughout. An empty secret counts.
//! - **Repeating**: a block that fills at least half, repeated to the end: who has the block has
//!   the secret. Of 32 random hexadecimal digits one in 2^64, of 32 random bytes one in 2^128.
//! - **Sequence**: at least half of the steps from byte to byte belong to runs of two or more that
//!   go on in one way: the same byte, the next one or the one before, along a keyboard, or as a web
//!   page for keys has it from which many Spring projects have theirs (32 characters of it are less
//!   than 38 bits).
//! - **Words**, of 24 bytes or more: the words of `words.txt`, also with the usual stand-ins
//!   (`p4$$w0rd`), and runs of four or more cover at least half, separators not counted. Or the
//!   letters follow each other 2^20 times likelier in English than at random, which befalls less
//!   than one in 2^20 texts of random letters. Guessing tools put words together.
//! - **Low entropy**: the counts of its bytes give less than 80 bits in all, or less than 2.5 a
//!   byte if it is too short for 80. The lowest of a million random secrets had 87 (32 hexadecimal
//!   digits).
//!
//! **Wrongly refused, as measured**: none in a million random secrets, by any rule, of each of
//! these shapes: 16, 32, 48 and 64 bytes; 32 and 64 hexadecimal digits; 43 characters of base64url,
//! 88 of base64, 32 and 52 of base32; 32 letters and digits, also without capitals; 32 small
//! letters; 32 printable characters; 39 decimal digits; UUIDs (version 4). Of 32 decimal digits,
//! which are 106 bits, 49 in a million have low entropy.
//!
//! **Found, as measured**: 66 of the 75 secrets in the tests, made up as people make them; and 1990
//! of 2148 (93 %) from published lists of web session secrets, of which no word was taken over: all
//! those of 32 to 100 characters with two fifths or more of words from an English dictionary. What
//! passes: phrases of rare words (`zebra-quokka-xylem-…`), many in other languages, fingers drummed
//! on the keyboard, a word or two among random characters. So a secret that passes is not proven
//! good. A passphrase out of common words is refused however long it is.
//!
//! The time taken grows with the length alone. Copies of the secret are wiped.
use core::fmt;
use std::collections::HashSet;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use super::md5::md5;
use crate::signature::common_hashes;

/// Why a shared secret is too easy to guess.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Weakness {
    /// The same byte throughout.
    AllEqual,
    /// A block of bytes that fills at least half of it, again and again.
    Repeating,
    /// At least half of it runs along the alphabet, the digits or a keyboard, or comes from a
    /// generator whose next character is one of two.
    Sequence,
    /// At least half of it is words, or its letters follow each other as they do in words.
    Words,
    /// Few different bytes for its length.
    LowEntropy,
    /// An example or a default that stands in documentation, a template or a list of such secrets.
    Published,
}

impl fmt::Display for Weakness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AllEqual => "is the same byte throughout",
            Self::Repeating => "is a short block of bytes repeated",
            Self::Sequence => "is for the most part a predictable run of characters",
            Self::Words => "is made of words",
            Self::LowEntropy => "has too few different bytes",
            Self::Published => "is published as an example or a default",
        })
    }
}

/// Judges `secret`. `None`: nothing was found against it.
pub(crate) fn weakness(secret: &[u8]) -> Option<Weakness> {
    let spellings = spellings(secret);
    let any = |rule: fn(&[u8]) -> bool| spellings.iter().any(|spelling| rule(spelling));
    if any(is_published) {
        Some(Weakness::Published)
    } else if any(is_all_equal) {
        Some(Weakness::AllEqual)
    } else if any(is_repeating) {
        Some(Weakness::Repeating)
    } else if any(is_sequence) {
        Some(Weakness::Sequence)
    } else if any(is_words) {
        Some(Weakness::Words)
    } else if has_low_entropy(secret) {
        Some(Weakness::LowEntropy)
    } else {
        None
    }
}

type Bytes = Zeroizing<Vec<u8>>;

/// Whether a rule goes for the secret as it is, white space included, or under another spelling.
pub(super) fn any_spelling(secret: &[u8], rule: impl Fn(&[u8]) -> bool) -> bool {
    rule(secret) || spellings(secret).iter().any(|spelling| rule(spelling))
}

/// The secret; what it decodes to, if it is text; if not, what it may have been decoded from: some
/// libraries take any text for base64, even one in hexadecimal.
fn spellings(secret: &[u8]) -> Vec<Bytes> {
    let text = secret.trim_ascii();
    let mut all = vec![Zeroizing::new(text.to_vec())];
    if text.is_ascii() {
        all.extend([from_hex(text), from_base64(text)].into_iter().flatten());
    } else {
        let encoded = Zeroizing::new(BASE64.encode(secret).into_bytes());
        all.extend(from_hex(&encoded));
        all.push(encoded);
    }
    all
}

/// The first 129 digits of π, e, √2 and the golden ratio, which look as random as any and which everybody can
/// look up.
const CONSTANTS: [&str; 4] = [
    "314159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798214808651328230664709384460",
    "271828182845904523536028747135266249775724709369995957496696762772407663035354759457138217852516642742746639193200305992181741359",
    "141421356237309504880168872420969807856967187537694807317667973799073247846210703885038753432764157273501384623091229702492483605",
    "161803398874989484820458683436563811772030917980576286213544862270526046281890244970720720418939113748475408807538689175212663386",
];

/// Whether it is 16 or more digits in a row of a famous number, with or without its point: of random digits
/// less than one in 10^13 is.
fn is_constant(spelling: &[u8]) -> bool {
    let digits: Zeroizing<Vec<u8>> =
        Zeroizing::new(spelling.iter().copied().filter(|it| *it != b'.').collect());
    digits.len() >= 16
        && CONSTANTS
            .iter()
            .any(|it| it.as_bytes().windows(digits.len()).any(|run| *run == **digits))
}

fn is_published(spelling: &[u8]) -> bool {
    static PUBLISHED: LazyLock<HashSet<Vec<u8>>> = LazyLock::new(|| {
        let spelled = published().map(str::as_bytes).flat_map(|text| {
            let spelled = [Some(Zeroizing::new(text.to_vec())), from_hex(text), from_base64(text)];
            spelled.into_iter().flatten().map(|bytes| bytes.to_vec())
        });
        let hashed = published().chain([""]).flat_map(|text| {
            let lower = text.to_ascii_lowercase();
            let texts = [text.to_owned(), format!("{text}\n"), format!("{lower}\n"), lower];
            texts.into_iter().flat_map(|text| hashes(text.as_bytes()))
        });
        spelled.chain(hashed).map(|bytes| bytes.trim_ascii().to_ascii_lowercase()).collect()
    });
    let spelling = Zeroizing::new(spelling.trim_ascii().to_ascii_lowercase());
    // Django's own mark of a key that is for development only.
    spelling.starts_with(b"django-insecure-")
        || is_constant(&spelling)
        || PUBLISHED.contains(&*spelling)
}

fn hashes(text: &[u8]) -> impl Iterator<Item = Vec<u8>> + use<> {
    common_hashes(text).into_iter().chain([md5(text).to_vec()])
}

fn published() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("published.txt").lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn is_all_equal(spelling: &[u8]) -> bool {
    spelling.windows(2).all(|pair| pair[0] == pair[1])
}

/// The shortest period is what the longest border leaves of the length (Knuth, Morris, Pratt).
fn is_repeating(spelling: &[u8]) -> bool {
    let mut borders: Vec<usize> = Vec::with_capacity(spelling.len());
    for &byte in spelling {
        let Some(&last) = borders.last() else {
            borders.push(0);
            continue;
        };
        let mut border = last;
        while border > 0 && spelling[border] != byte {
            border = borders[border - 1];
        }
        borders.push(border + usize::from(spelling[border] == byte));
    }
    borders.last().is_some_and(|border| (spelling.len() - border) * 2 <= spelling.len())
}

fn is_sequence(spelling: &[u8]) -> bool {
    let streaks = streaks(spelling);
    let in_runs: usize = streaks
        .iter()
        .map(|streak| match streak {
            0 | 1 => 0,
            2 => 2, // with the one before it
            _ => 1,
        })
        .sum();
    in_runs > 0 && in_runs * 2 >= streaks.len()
}

/// For each step from a byte to the next one: how many steps up to it went on in the same way.
fn streaks(spelling: &[u8]) -> Vec<usize> {
    let (mut streak, mut ways) = (0, 0);
    let steps = spelling.windows(2).map(|pair| {
        let own = ways_of(pair[0], pair[1]);
        (streak, ways) = match (ways & own, own) {
            (0, 0) => (0, 0),
            (0, own) => (1, own),
            (shared, _) => (streak + 1, shared),
        };
        streak
    });
    steps.collect()
}

/// Along a keyboard (QWERTY, QWERTZ, AZERTY): its rows, its columns and zigzag. Digits go round.
const TRACKS: [&str; 12] = [
    "01234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
    "qsdfghjklm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "!@#$%^&*()",
    "!qaz@wsx#edc$rfv%tgb^yhn&ujm*ik<(ol>)p",
];

/// What follows what in the keys of a much used web page (allkeysgenerator.com): `!Az` says that
/// `A` or `z` comes after `!`. Read off 33 of them; many a Spring tutorial has one, in hexadecimal.
const GENERATED: &str = "!Az $BC %CD &EF (GH )HJ *FG +KM -JK /AB 2rs 3st 4tu 5uv 6vw 7wx 8xy \
    9yz ?DE @MN A%? B&? C&* D(* E() F)- G+- H+@ J@a Kab Mbc Ncd Pde Qef Rfg Sgh Thj Ujk Vkm Wmn \
    Xnp Ypq Zqr aNP bPQ cQR dRS eST fTU gUV hVW jWX kXY mYZ n2Z p23 q34 r45 s56 t67 u78 v89 w!9 \
    x!/ y$/ z$%";

/// The ways in which `next` may follow `byte`, one bit each.
fn ways_of(byte: u8, next: u8) -> u32 {
    const SAME: u32 = 1;
    const UP: u32 = 1 << 1;
    const DOWN: u32 = 1 << 2;
    const BY_GENERATOR: u32 = 1 << 3;
    const FIRST_TRACK: u32 = 1 << 4;
    static WAYS: LazyLock<Vec<[u32; 128]>> = LazyLock::new(|| {
        let mut ways = vec![[0; 128]; 128];
        let mut add =
            |byte: u8, next: u8, way: u32| ways[usize::from(byte)][usize::from(next)] |= way;
        for step in GENERATED.split(' ').map(str::as_bytes) {
            add(step[0], step[1], BY_GENERATOR);
            add(step[0], step[2], BY_GENERATOR);
        }
        let mut forward = FIRST_TRACK;
        for track in TRACKS {
            for pair in track.as_bytes().windows(2) {
                for byte in [pair[0], pair[0].to_ascii_uppercase()] {
                    for next in [pair[1], pair[1].to_ascii_uppercase()] {
                        add(byte, next, forward);
                        add(next, byte, forward << 1);
                    }
                }
            }
            forward <<= 2;
        }
        ways
    });
    let by_value = match next.to_ascii_lowercase().wrapping_sub(byte.to_ascii_lowercase()) {
        0 => SAME,
        1 => UP,
        u8::MAX => DOWN,
        _ => 0,
    };
    let by_table = WAYS.get(usize::from(byte)).and_then(|ways| ways.get(usize::from(next)));
    by_value | by_table.copied().unwrap_or_default()
}

fn is_words(spelling: &[u8]) -> bool {
    // Base64 of a key of 16 bytes is shorter: words come up in that little by chance.
    spelling.len() >= 24 && (is_covered_by_words(spelling) || is_spelt_like_words(spelling))
}

fn is_covered_by_words(spelling: &[u8]) -> bool {
    let apart = spelling.iter().filter(|byte| b" -_.,".contains(byte)).count();
    let covered = covered(spelling);
    covered > 0 && covered * 2 >= spelling.len() - apart
}

/// How many bytes words of the list and runs of four or more can cover without overlap.
fn covered(spelling: &[u8]) -> usize {
    static WORDS: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(|| {
        let mut words = vec![Vec::new(); 26 * 26];
        for word in include_str!("words.txt").lines() {
            let word: Vec<u8> = word.bytes().map(fold).collect();
            if let Some(start) = two_letters(&word) {
                words[start].push(word);
            }
        }
        words
    });
    // Its digits taken for letters, hexadecimal would be full of words.
    let fold = if is_hex(spelling) { |byte: u8| byte.to_ascii_lowercase() } else { fold };
    let folded: Bytes = Zeroizing::new(spelling.iter().map(|byte| fold(*byte)).collect());
    let streaks = streaks(spelling);
    let mut best = vec![0; spelling.len() + 1]; // of the bytes before each place
    for place in 0..spelling.len() {
        let run = place.checked_sub(2).map_or(0, |step| streaks[step] + 1);
        if run >= 4 {
            best[place] = best[place].max(best[place - run] + run);
        }
        best[place + 1] = best[place + 1].max(best[place]);
        let rest = &folded[place..];
        let words = two_letters(rest).map(|start| &WORDS[start]);
        for word in words.into_iter().flatten().filter(|word| rest.starts_with(word)) {
            let end = place + word.len();
            let letters =
                spelling[place..end].iter().filter(|byte| byte.is_ascii_alphabetic()).count();
            if letters * 2 >= word.len() {
                best[end] = best[end].max(best[place] + word.len());
            }
        }
    }
    best[spelling.len()]
}

/// The first two letters, in lower case, as a number below 26 * 26.
fn two_letters(text: &[u8]) -> Option<usize> {
    match text {
        [first @ b'a'..=b'z', second @ b'a'..=b'z', ..] => {
            Some(usize::from(first - b'a') * 26 + usize::from(second - b'a'))
        }
        _ => None,
    }
}

/// Takes the usual stand-ins back. `i` becomes `l`, since `1` stands for both.
fn fold(byte: u8) -> u8 {
    match byte.to_ascii_lowercase() {
        b'0' => b'o',
        b'1' | b'i' => b'l',
        b'3' => b'e',
        b'4' | b'@' => b'a',
        b'5' | b'$' => b's',
        b'7' => b't',
        other => other,
    }
}

/// How much likelier a letter (column) follows another (row) in English than in random letters: in
/// steps of half a bit, `k` is as likely, `l` is half a bit more. Counted in prose and in word
/// lists, smoothed, rounded down; so for random letters the mean of each row's factors is below 1.
const LETTERS: [&[u8; 26]; 26] = [
    b"ajkjcgickbhmkoajanloiifdhd",
    b"mhccoaacmgaodbnaamifmcaaka",
    b"nahanaankalkdaobblfnkbaaga",
    b"mgfjqfgeocbjfgmeajljkfhaia",
    b"lfkmjigehbckjngieonleihiga",
    b"lcecnlacoaakcbocalglmbeaia",
    b"mefdpfimmaalfkldankjlbfaga",
    b"occbqcabnaaeeenbaifjhadaga",
    b"jhljkjjaaaeljpmgcjmmciadah",
    b"oaaapaaaiaaaaaoaaajapafaaa",
    b"lfedrfceobcjelhfaemghagaia",
    b"mdekpfccoafnedmfadjjkedala",
    b"okcbpdabnaaekemnabjekacafa",
    b"lelmmgodlcggehkdbelnhfeahb",
    b"hhjkgkidhdgklojjanjkmikdeb",
    b"ncbdobbjlabncbmkaoikkacafa",
    b"aaaaaaaaaaaiaaaaaaaataiaaa",
    b"nfijpfhdmahgijmgajlkjfeaja",
    b"lekenfclmagihglkdgmpkbhaha",
    b"ldgcodbpnabgddmealkjjbhajb",
    b"jikileibjabmknejannnabcbac",
    b"paaaraaaoaaaaakaaaaaebaafa",
    b"necdpcanoadgckndajjgbbdada",
    b"oflbmdbgnaadbagpabdogeffha",
    b"kjjhkgffkbdjjkpoahmlhejbcc",
    b"nbabraabnabjbalcaaaagbbgkm",
];

/// Its letters follow each other 2^20 times likelier than random ones would. By Markov's inequality
/// that befalls less than one in 2^20 random texts.
fn is_spelt_like_words(spelling: &[u8]) -> bool {
    let place = |letter: u8| usize::from(letter.to_ascii_lowercase() - b'a');
    let letters = spelling.windows(2).filter(|pair| pair.iter().all(u8::is_ascii_alphabetic));
    let half_bits: i32 = letters
        .map(|pair| i32::from(LETTERS[place(pair[0])][place(pair[1])]) - i32::from(b'k'))
        .sum();
    // The letters of hexadecimal are not random ones out of 26.
    half_bits >= 40 && !is_hex(spelling)
}

fn is_hex(spelling: &[u8]) -> bool {
    spelling.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-')
}

/// Shannon's entropy of how often each byte occurs, times the length: 80 bits, or 2.5 a byte where
/// even random bytes are too few to reach 80.
fn has_low_entropy(secret: &[u8]) -> bool {
    let mut counts = [0.0; 256];
    for &byte in secret {
        counts[usize::from(byte)] += 1.0;
    }
    let length: f64 = counts.iter().sum();
    let bits: f64 = counts
        .iter()
        .filter(|count| **count > 0.0)
        .map(|count| count * f64::log2(length / count))
        .sum();
    bits < f64::min(80.0, 2.5 * length)
}

/// Either alphabet, padded or not, whatever the unused bits are.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

fn from_base64(text: &[u8]) -> Option<Bytes> {
    let standard = text.iter().map(|byte| match byte {
        b'-' => b'+',
        b'_' => b'/',
        other => *other,
    });
    BASE64.decode(&*Zeroizing::new(standard.collect::<Vec<u8>>())).ok().map(Zeroizing::new)
}

/// With room for all from the start: a vector that grows leaves copies behind.
pub(super) fn from_hex(text: &[u8]) -> Option<Bytes> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len() / 2));
    for pair in text.chunks(2) {
        bytes.push(digit(&pair[0])? << 4 | digit(pair.get(1)?)?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose;

    use super::super::Stray;
    use super::*;
    use crate::text::is_utf_16_of_ascii;

    fn judge(secret: &str) -> Option<Weakness> {
        weakness(secret.as_bytes())
    }

    fn decoded(base64: &str) -> Bytes {
        from_base64(base64.as_bytes()).expect("base64")
    }

    #[test]
    fn a_published_default_is_found_under_any_of_its_spellings() {
        for text in published() {
            let standard = general_purpose::STANDARD.encode(text);
            let mut spelled = vec![
                text.as_bytes().to_vec(),
                text.to_ascii_uppercase().into_bytes(),
                format!(" {text}\r\n").into_bytes(),
                standard.into_bytes(),
                general_purpose::URL_SAFE_NO_PAD.encode(text).into_bytes(),
                text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>().into_bytes(),
            ];
            spelled.extend(from_base64(text.as_bytes()).map(|bytes| bytes.to_vec()));
            spelled.extend(from_hex(text.as_bytes()).map(|bytes| bytes.to_vec()));
            for secret in spelled {
                assert_eq!(weakness(&secret), Some(Weakness::Published), "{text} as {secret:?}");
            }
        }
        let rfc7515 = decoded(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        );
        assert_eq!(weakness(&rfc7515), Some(Weakness::Published));
        assert_eq!(
            judge("django-insecure-$4n2%e0q@0v!1rj#m^zt&8x_p7lq5d"),
            Some(Weakness::Published)
        );
    }

    #[test]
    fn digits_of_a_famous_number_are_published() {
        for digits in [
            "3.141592653589793238462643383279502884197169399375105820974944592307",
            "2384626433832795028841971693993751058209749445923078164062862089",
            "2.7182818284590452353602874713526624977572470936999595749669",
            "1414213562373095048801688724209698078569671875376948",
            "1.61803398874989484820458683436563811772030917980576",
        ] {
            assert_eq!(weakness(digits.as_bytes()), Some(Weakness::Published), "{digits}");
            let encoded = BASE64.encode(digits);
            assert_eq!(weakness(encoded.as_bytes()), Some(Weakness::Published), "{encoded}");
        }
        let random = "8251706439926175303841159276084735928106431759268504";
        assert_eq!(weakness(random.as_bytes()), None);
    }

    #[test]
    fn a_published_default_stands_in_the_list_once() {
        let all: HashSet<String> = published().map(str::to_ascii_lowercase).collect();
        assert_eq!(all.len(), published().count());
        assert!(all.len() >= 240, "{}", all.len());
    }

    #[test]
    fn one_byte_throughout_is_found() {
        for secret in [
            &[0; 32][..],
            b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
            b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            b"",
        ] {
            assert_eq!(weakness(secret), Some(Weakness::AllEqual), "{secret:?}");
        }
    }

    #[test]
    fn a_repeated_block_is_found_with_its_end_cut_off() {
        for secret in [
            "kX9#kX9#kX9#kX9#kX9#kX9#kX9#kX9#kX",
            "q8Zr2Lw0Tn5vB7yKq8Zr2Lw0Tn5vB7yK",
            "a8%a8%a8%a8%a8%a8%a8%a8%a8%a8%a8",
        ] {
            assert_eq!(judge(secret), Some(Weakness::Repeating), "{secret}");
        }
        // What is left over does not fill half.
        assert_eq!(judge("q8Zr2Lw0Tn5vB7yKx4Hq8Zr2Lw0Tn5vB"), None);
    }

    #[test]
    fn a_run_along_alphabet_digits_or_keyboard_is_found() {
        let counting: Vec<u8> = (0x80..0xa0).collect();
        assert_eq!(weakness(&counting), Some(Weakness::Sequence));
        for secret in [
            "abcdefghijklmnopqrstuvwxyz123456",
            "ZYXWVUTSRQPONMLKJIHGFEDCBA012345",
            "12345678901234567890123456789098",
            "qwertyuiopasdfghjklzxcvbnmQWERTY",
            "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,",
            "aaaabbbbccccddddeeeeffffgggghhhh",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        ] {
            assert_eq!(judge(secret), Some(Weakness::Sequence), "{secret}");
        }
    }

    #[test]
    fn a_key_of_the_generator_with_two_choices_is_found_in_hex_and_as_if_base64() {
        let hex = "4D6251655468576D5A7134743777217A25432A462D4A614E645267556B587032";
        let raw = from_hex(hex.as_bytes()).expect("hexadecimal");
        for secret in [hex.as_bytes(), &raw, &decoded(hex)] {
            assert_eq!(weakness(secret), Some(Weakness::Sequence), "{secret:?}");
        }
    }

    #[test]
    fn words_are_found_in_any_case_with_stand_ins_and_under_base64() {
        for secret in [
            "Correct Horse Battery Staple 1 2 3",
            "CORRECTHORSEBATTERYSTAPLE_X7#Q9!",
            "S3cr3t_P4ssw0rd_F0r_Pr0duct10n_!!",
            "bXktc3VwZXItc2VjcmV0LWtleS1mb3Itand0LXNpZ25pbmc=",
            "jabberwockiesslithetovesgyrating",
        ] {
            assert_eq!(judge(secret), Some(Weakness::Words), "{secret}");
        }
        // As a library has it that decoded the phrase as if it were base64.
        let taken_for_base64 = decoded("mySecretKeyForSigningTheTokensOfThisApplication");
        assert_eq!(weakness(&taken_for_base64), Some(Weakness::Words));
    }

    #[test]
    fn few_different_bytes_are_found() {
        for secret in ["0110100110010110100101100110100", "1222212112221121122121112212221121"] {
            assert_eq!(judge(secret), Some(Weakness::LowEntropy), "{secret}");
        }
    }

    #[test]
    fn random_secrets_of_every_common_shape_pass() {
        const BASE64URL: &[u8] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bytes: Vec<u8> = (0..=255).collect();
        let shapes = [
            (&bytes[..], 32),
            (&bytes[..], 64),
            (b"0123456789abcdef", 32),
            (b"0123456789ABCDEF", 64),
            (BASE64URL, 43),
            (&BASE64URL[..62], 32),
            (b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 32),
            (b"abcdefghijklmnopqrstuvwxyz234567", 52),
            (b"0123456789", 39),
            (&bytes[33..127], 32),
        ];
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for _ in 0..5_000 {
            for (alphabet, length) in shapes {
                let secret = random.text(alphabet, length);
                assert_eq!(weakness(&secret), None, "{}", String::from_utf8_lossy(&secret));
                assert_eq!(Stray::of(&secret), None, "{}", String::from_utf8_lossy(&secret));
                assert!(!is_utf_16_of_ascii(&secret), "{secret:?}");
            }
            let mut uuid = random.text(b"0123456789abcdef", 36);
            for (place, byte) in [(8, b'-'), (13, b'-'), (14, b'4'), (18, b'-'), (23, b'-')] {
                uuid[place] = byte;
            }
            assert_eq!(weakness(&uuid), None, "{}", String::from_utf8_lossy(&uuid));
        }
    }

    #[test]
    fn most_of_what_people_type_is_found() {
        let missed: Vec<_> = TYPED.lines().filter(|secret| judge(secret).is_none()).collect();
        assert_eq!(TYPED.lines().count(), 75);
        assert!(missed.len() <= 9, "{missed:#?}");
        assert!(TYPED.lines().all(|secret| secret.len() >= 32));
    }

    #[test]
    fn any_length_is_judged() {
        let mut random = Random(1);
        for length in (0..200).chain([1024, 65_536]) {
            let secret = random.text(b"0123456789abcdefghijklmnopqrstuvwxyz \xff-_=", length);
            let found = weakness(&secret);
            assert!(length < 32 || found.is_none(), "{length}: {found:?}");
        }
        assert_eq!(weakness(&[b'a'; 65_536]), Some(Weakness::AllEqual));
        assert_eq!(weakness(&b"my secret is out ".repeat(4000)), Some(Weakness::Repeating));
    }

    #[test]
    fn the_table_of_letters_favours_no_random_text() {
        for row in LETTERS {
            let factors =
                row.iter().map(|step| f64::exp2((f64::from(*step) - f64::from(b'k')) / 2.0));
            assert!(factors.sum::<f64>() <= 26.0);
        }
    }

    #[test]
    fn a_message_is_lower_case_without_a_full_stop() {
        use Weakness::{AllEqual, LowEntropy, Published, Repeating, Sequence, Words};
        for weakness in [AllEqual, Repeating, Sequence, Words, LowEntropy, Published] {
            let message = weakness.to_string();
            assert!(!message.ends_with('.') && message == message.to_lowercase(), "{message}");
        }
    }

    /// Xorshift, so that every run has the same secrets.
    struct Random(u64);

    impl Random {
        fn text(&mut self, alphabet: &[u8], length: usize) -> Vec<u8> {
            let mut next = || {
                self.0 ^= self.0 << 13;
                self.0 ^= self.0 >> 7;
                self.0 ^= self.0 << 17;
                alphabet[usize::try_from(self.0 >> 32).unwrap_or_default() % alphabet.len()]
            };
            (0..length).map(|_| next()).collect()
        }
    }

    const TYPED: &str = r##"correct horse battery staple correct
my-super-secret-key-for-jwt-signing-2024
ThisIsMyVerySecretJwtSigningKey!!
please-change-this-secret-in-production!
MyCompanyName-Production-2025-Secret
12345678901234567890123456789012
abcdefghijklmnopqrstuvwxyz123456
passwordpasswordpasswordpassword
aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
00000000000000000000000000000000
secretsecretsecretsecretsecretse
0123456789abcdef0123456789abcdef
qwertyuiopasdfghjklzxcvbnmqwerty
1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,
zyxwvutsrqponmlkjihgfedcba987654
!QAZ@WSX#EDC$RFV%TGB^YHN&UJM*IK<
P@ssw0rdP@ssw0rdP@ssw0rdP@ssw0rd
Sup3rS3cr3tP@ssw0rdF0rJwtT0k3ns!
Tr0ub4dor&3-Tr0ub4dor&3-Tr0ub4dor
changeme_changeme_changeme_12345
CHANGE_ME_BEFORE_GOING_LIVE_2024
ilovemywifeandmytwobeautifulkids
the quick brown fox jumps over the lazy dog
TheQuickBrownFoxJumpsOverTheLazyDog
to be or not to be that is the question
May the Force be with you, always and forever
winter-is-coming-winter-is-coming
LiverpoolFC-YoullNeverWalkAlone-1892
acme-corp-backend-jwt-secret-prod
acmecorp.prod.auth.hs256.signing.key
jwt_secret_for_my_awesome_project
node-express-mongodb-jwt-auth-secret
backend_service_shared_secret_v2_final
internal-api-gateway-shared-secret
staging-environment-secret-do-not-use
dev-secret-dev-secret-dev-secret-dev
local_development_secret_key_only
super_long_secret_that_nobody_will_ever_guess
this is a very long and secure passphrase
AVeryLongSecretKeyWithMoreThan32Characters
SecretKeyForSigningTokensInOurApplication
MySecureSigningKey_2023_DoNotShare
spring-boot-jwt-secret-key-256-bits-long
mySecretKeyMustBeLongerThan256BitsForHS256
hs256-needs-at-least-thirty-two-bytes
HelloWorldHelloWorldHelloWorld2024
letmein-letmein-letmein-letmein-1
Summer2024!Winter2024!Spring2024!
JohnSmith1985-JaneSmith1987-London
RexTheDog-born-in-2015-good-boy!!
Manchester-United-Champions-League-1999
blue.elephant.dances.under.moonlight
purple monkey dishwasher umbrella
rain-river-stone-forest-shadow-nine
ourcompanywasfoundedinnineteenninetynine
nobodyexpectsthespanishinquisition
geheimes-passwort-fuer-die-anmeldung
ma-cle-secrete-pour-les-jetons-jwt
mi_clave_secreta_para_los_tokens_jwt
chave-secreta-do-servidor-de-producao
kunci-rahasia-untuk-aplikasi-saya-123
asdfasdfasdfasdfasdfasdfasdfasdf
asdkjhaskdjhaskjdhaskjdhaksjdhaksjdh
lkjsdflkjsdflkjweoriuwerlkjsdfoiuwer
112233445566778899aabbccddeeff00
deadbeefdeadbeefdeadbeefdeadbeef
abc123abc123abc123abc123abc123abc1
2024-01-01T00:00:00Z-jwt-signing-key
cGFzc3dvcmRwYXNzd29yZHBhc3N3b3JkcGFzc3dvcmQ=
bXktc3VwZXItc2VjcmV0LWtleS1mb3Itand0LXNpZ25pbmc=
n2r5u8x/A?D(G+KbPeShVmYq3t6w9z$C
zebra-quokka-xylem-fjord-gyre-bivouac
clutch-evict-frosty-gauze-nanny-prism
kilogram unvaried osmosis dweeb caviar
7Hx!MyDogAteMyHomework!9Kz#2019@@"##;
}
