//! The passphrase of a new key: typed, read or made here, and good enough.

use fourfold::passphrase::Passphrase;
use fourfold::rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::error::{Error, Exit, Result};
use crate::keys::login_password;
use crate::keys::random::rng;
use crate::options::NewKeyOptions;
use crate::terminal::input::Source;
use crate::terminal::shown::wiped;
use crate::terminal::{messages, prompt};

/// The new passphrase, if one was asked for. It is hard to guess, or the user insists on it.
pub(crate) fn read(options: &NewKeyOptions) -> Result<Option<Passphrase>> {
    let Some(text) = text(options)? else {
        return Ok(None);
    };
    check(&text, options).map(Some)
}

/// A passphrase that is hard to guess, or that the user insists on.
pub(crate) fn check(text: &str, options: &NewKeyOptions) -> Result<Passphrase> {
    login_password::refuse_as_passphrase(text)?;
    let passphrase = Passphrase::new(text);
    check_strength(&passphrase, options.allow_weak_passphrase)?;
    Ok(passphrase)
}

fn text(options: &NewKeyOptions) -> Result<Option<Zeroizing<String>>> {
    let file = options.new_passphrase_file.as_deref();
    if let Some(source) = Source::given(file, options.new_passphrase_fd) {
        return source.line().map(Some);
    }
    if options.generate_passphrase {
        return generated().map(Some);
    }
    if !options.new_passphrase {
        return Ok(None);
    }
    if prompt::is_possible() {
        messages::say("leave the passphrase empty to get six random words instead");
    }
    let passphrase = prompt::hidden("New passphrase", HINT)?;
    if passphrase.is_empty() {
        return generated().map(Some);
    }
    if prompt::hidden("Repeat the new passphrase", HINT)? != passphrase {
        return Err(Error::refused(
            "the two passphrases differ; nothing was changed",
        ));
    }
    Ok(Some(passphrase))
}

/// Six words that were shown to a person and came back.
fn generated() -> Result<Zeroizing<String>> {
    if !prompt::is_possible() {
        return Err(
            Error::usage("there is no terminal to show the new passphrase on")
                .hint("without a terminal, use the recovery key alone"),
        );
    }
    let words = six_words(&mut rng());
    prompt::show(&[
        "",
        "The new passphrase:",
        "",
        &wiped(format_args!("    {}", *words)),
        "",
        "It opens everything. Write it down on paper and keep it in a safe place.",
    ])?;
    for _ in 0..3 {
        if prompt::hidden("Repeat the new passphrase", HINT)? == words {
            return Ok(words);
        }
    }
    Err(Error::refused(
        "the passphrase was not confirmed; nothing was changed",
    ))
}

/// Six words of a list of 7776, each equally likely: 77 bits.
fn six_words(rng: &mut impl CryptoRng) -> Zeroizing<String> {
    let list = &diceware_wordlists::EFF_LONG_WORDLIST;
    let words = u32::try_from(list.len()).unwrap_or(u32::MAX);
    // Numbers above the last whole multiple would favour the first words.
    let fair = u32::MAX - u32::MAX % words;
    let mut text = Zeroizing::new(String::with_capacity(6 * MAX_WORD));
    let mut count = 0;
    while count < 6 {
        let number = rng.next_u32();
        if number >= fair {
            continue;
        }
        let Some(word) = list.get((number % words) as usize) else {
            continue;
        };
        if count > 0 {
            text.push(' ');
        }
        text.push_str(word);
        count += 1;
    }
    text
}

fn check_strength(passphrase: &Passphrase, allow_weak: bool) -> Result<()> {
    let strength = passphrase.strength();
    if strength.is_enough() {
        return Ok(());
    }
    let advice = strength
        .advice
        .map(|advice| format!(": {advice}"))
        .unwrap_or_default();
    if allow_weak {
        messages::warn(format_args!("the passphrase is easy to guess{advice}"));
        return Ok(());
    }
    Err(Error::new(
        Exit::Policy,
        format!("the passphrase is too easy to guess{advice}"),
    )
    .hint(
        "use at least 12 characters, such as five unrelated words, or \
         --generate-passphrase; or no passphrase at all: the recovery key suffices",
    ))
}

const HINT: &str = "use --new-passphrase-file";

/// With the space before it; so that the text never grows and leaves a copy behind.
const MAX_WORD: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    // shows: KEY-11
    #[test]
    fn six_words_are_made_that_are_hard_to_guess() {
        let list = diceware_wordlists::EFF_LONG_WORDLIST;
        let distinct: std::collections::HashSet<_> = list.iter().collect();
        assert_eq!(distinct.len(), 7776);
        assert!(list.iter().all(|word| word.len() < MAX_WORD));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let text = six_words(&mut rng());
            let words: Vec<_> = text.split(' ').collect();
            assert_eq!(words.len(), 6);
            assert!(
                words.iter().all(|word| distinct.contains(word)),
                "{words:?}"
            );
            assert!(Passphrase::new(text.as_str()).strength().is_enough());
            assert!(seen.insert(text.to_string()));
        }
    }
}
