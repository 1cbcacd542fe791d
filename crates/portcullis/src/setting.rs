//! Settings that are said once, in whatever order.
use core::fmt;
use std::sync::Arc;

/// What was said of a setting that has one value.
///
/// To say the same again changes nothing. Of two different words neither counts, so that no order
/// decides between them, and the policy is refused. A word that overrules takes the place of all
/// others, said before or after it.
#[derive(Clone)]
pub(crate) struct Setting<T> {
    plain: Value<T>,
    overruling: Value<T>,
}

#[derive(Clone)]
enum Value<T> {
    Unset,
    Set(T),
    Contradicted,
}

/// How a word about a setting counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Voice {
    /// As any other.
    #[default]
    Plain,
    /// In the place of any other.
    Overruling,
}

impl<T> Setting<T> {
    /// What it is, unless nobody said so, or two differ.
    pub(crate) fn get(&self) -> Option<&T> {
        match self.counting() {
            Value::Set(value) => Some(value),
            Value::Unset | Value::Contradicted => None,
        }
    }

    /// Whether two differ about it.
    pub(crate) fn is_contradicted(&self) -> bool {
        matches!(self.counting(), Value::Contradicted)
    }

    fn counting(&self) -> &Value<T> {
        match &self.overruling {
            Value::Unset => &self.plain,
            overruling => overruling,
        }
    }
}

impl<T: PartialEq> Setting<T> {
    pub(crate) fn say(&mut self, voice: Voice, value: T) {
        self.at(voice).add(Value::Set(value));
    }

    /// Says what was said elsewhere.
    pub(crate) fn add(&mut self, voice: Voice, other: Self) {
        self.at(voice).add(other.plain);
        self.overruling.add(other.overruling);
    }

    fn at(&mut self, voice: Voice) -> &mut Value<T> {
        match voice {
            Voice::Plain => &mut self.plain,
            Voice::Overruling => &mut self.overruling,
        }
    }
}

impl<T: Clone> Setting<T> {
    /// This where anything was said of it, and else `base`.
    pub(crate) fn over(&self, base: &Self) -> Self {
        let is_said = !matches!(self.counting(), Value::Unset);
        if is_said { self.clone() } else { base.clone() }
    }
}

impl<T: PartialEq> Value<T> {
    fn add(&mut self, other: Self) {
        match (&*self, other) {
            (_, Self::Unset) => {}
            (Self::Unset, other) => *self = other,
            (Self::Set(own), Self::Set(other)) if *own == other => {}
            _ => *self = Self::Contradicted,
        }
    }
}

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self { plain: Value::Unset, overruling: Value::Unset }
    }
}

impl<T: fmt::Debug> fmt::Debug for Setting<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// Which settings of one place were said, and which of them differently: where each has a default in the place
/// that keeps it, and code alone says it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    said: Vec<&'static str>,
    contradicted: Vec<&'static str>,
}

impl Words {
    /// Says that the setting, which `place` keeps, is `value`.
    pub(crate) fn say<T: PartialEq>(
        &mut self,
        setting: &'static str,
        place: &mut T,
        value: impl Into<T>,
    ) {
        let value = value.into();
        if self.said.contains(&setting) && *place != value {
            self.contradicted.push(setting);
        }
        self.said.push(setting);
        *place = value;
    }

    /// Says that a setting is what nothing else is like.
    #[cfg(feature = "remote-jwks")]
    pub(crate) fn say_anew(&mut self, setting: &'static str) {
        if self.said.contains(&setting) {
            self.contradicted.push(setting);
        }
        self.said.push(setting);
    }

    /// The settings about which two words differ, each once.
    pub(crate) fn contradicted(&self) -> impl Iterator<Item = &'static str> {
        let all = &self.contradicted;
        let is_first = |(at, setting): &(usize, &&str)| !all[..*at].contains(*setting);
        all.iter().enumerate().filter(is_first).map(|(_, setting)| *setting)
    }
}

/// A value that equals none but itself and its clones: a closure, a clock.
pub(crate) struct Shared<T: ?Sized>(pub(crate) Arc<T>);

impl<T: ?Sized> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: ?Sized> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shared")
    }
}

#[cfg(test)]
mod tests {
    use super::Voice::{Overruling, Plain};
    use super::*;

    /// What all orders of these words come to.
    fn said(words: &[(Voice, u8)]) -> Setting<u8> {
        let mut setting = Setting::default();
        words.iter().for_each(|(voice, value)| setting.say(*voice, *value));
        setting
    }

    #[test]
    fn no_order_of_words_changes_what_a_setting_is() {
        for (words, value, is_contradicted) in [
            (&[][..], None, false),
            (&[(Plain, 1)], Some(1), false),
            (&[(Plain, 1), (Plain, 1)], Some(1), false),
            (&[(Plain, 1), (Plain, 2), (Plain, 1)], None, true),
            (&[(Plain, 1), (Overruling, 2)], Some(2), false),
            (&[(Plain, 1), (Plain, 2), (Overruling, 3)], Some(3), false),
            (&[(Plain, 1), (Overruling, 2), (Overruling, 3)], None, true),
        ] {
            let backwards: Vec<_> = words.iter().rev().copied().collect();
            for setting in [said(words), said(&backwards)] {
                assert_eq!(setting.get().copied(), value, "{words:?}");
                assert_eq!(setting.is_contradicted(), is_contradicted, "{words:?}");
            }
        }
    }

    #[test]
    fn what_was_said_elsewhere_is_said_here() {
        for voice in [Plain, Overruling] {
            let mut setting = said(&[(Plain, 1)]);
            setting.add(voice, said(&[(Plain, 2)]));
            let alike = said(&[(Plain, 1), (voice, 2)]);
            assert_eq!(setting.get(), alike.get());
            assert_eq!(setting.is_contradicted(), alike.is_contradicted());
        }
    }

    #[test]
    fn two_different_words_about_a_setting_with_a_default_are_noticed_in_any_order() {
        for (values, is_contradicted) in
            [(&[][..], false), (&[0], false), (&[2, 2], false), (&[1, 2], true), (&[1, 1, 0], true)]
        {
            for values in [values.to_vec(), values.iter().rev().copied().collect()] {
                let (mut words, mut place) = (Words::default(), 0);
                values.iter().for_each(|value| words.say("limit", &mut place, *value));
                let expected: &[&str] = if is_contradicted { &["limit"] } else { &[] };
                assert_eq!(words.contradicted().collect::<Vec<_>>(), expected, "{values:?}");
                assert!(is_contradicted || values.iter().all(|value| *value == place));
            }
        }
    }

    #[test]
    fn what_is_contradicted_does_not_fall_back_on_what_it_stands_over() {
        let torn = said(&[(Plain, 1), (Plain, 2)]).over(&said(&[(Plain, 3)]));
        assert!(torn.is_contradicted() && torn.get().is_none());
        assert_eq!(said(&[]).over(&said(&[(Plain, 3)])).get(), Some(&3));
        assert_eq!(said(&[(Plain, 1)]).over(&said(&[(Plain, 3)])).get(), Some(&1));
    }
}
