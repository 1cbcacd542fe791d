//! The committed corpora, and mutations of what is in them.
use std::fs;
use std::path::{Path, PathBuf};

/// The folder that has a folder of inputs for each target.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

/// Every input of a target with the name of its file, in the order of the names.
///
/// # Panics
///
/// If the corpus cannot be read.
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder().join(target)).expect(target);
    let mut inputs: Vec<_> = files
        .map(|file| {
            let file = file.expect(target);
            let name = file.file_name().into_string().expect("UTF-8");
            (name, fs::read(file.path()).expect(target))
        })
        .collect();
    inputs.sort();
    inputs
}

/// The words of a target, which a mutation may write: those of libFuzzer's dictionary.
///
/// # Panics
///
/// If the dictionary cannot be read, or has a line that is not `"word"`.
pub fn words(target: &str) -> Vec<Vec<u8>> {
    let file = folder().join(format!("../dictionaries/{target}.dict"));
    let text = fs::read_to_string(file).expect(target);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let word = line.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect(line);
            word.replace("\\\"", "\"").replace("\\\\", "\\").into_bytes()
        })
        .collect()
}

/// Changes inputs, in the same way for the same seed.
#[derive(Clone, Debug)]
pub struct Mutations {
    state: u64,
}

impl Mutations {
    /// Changes that follow from a number.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// One of the inputs with one to three changes: every other time one of the good ones, which are near to being
    /// accepted.
    ///
    /// # Panics
    ///
    /// If there are no inputs, no good ones or no words.
    pub fn of(
        &mut self,
        inputs: &[(String, Vec<u8>)],
        good: &[Vec<u8>],
        words: &[Vec<u8>],
    ) -> Vec<u8> {
        let is_good = self.below(2) == 0;
        let mut input =
            if is_good { self.one_of(good).clone() } else { self.one_of(inputs).1.clone() };
        for _ in 0..=self.below(3) {
            self.change(&mut input, inputs, words);
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, inputs: &[(String, Vec<u8>)], words: &[Vec<u8>]) {
        let at = self.below(input.len() + 1);
        let end = (at + self.below(9)).min(input.len());
        match self.below(8) {
            0 => input.truncate(at),
            1 => _ = input.drain(at..end),
            2 => input.insert(at, self.byte()),
            3 => _ = input.splice(at..at, self.one_of(words).clone()),
            4 => _ = input.splice(at..end, self.one_of(words).clone()),
            // A piece once more, elsewhere.
            5 => {
                let piece = input[at..(at + self.below(65)).min(input.len())].to_vec();
                let to = self.below(input.len() + 1);
                _ = input.splice(to..to, piece);
            }
            // The rest of another input.
            6 => {
                let other = &self.one_of(inputs).1;
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend(&other[from..]);
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
        }
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// `SplitMix64` (Steele, Lea and Flood, 2014): ten lines, and the same on every machine and in every year.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
