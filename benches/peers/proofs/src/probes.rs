use portcullis::{Algorithm, Clock as _, SystemClock};
use portcullis_testkit::SigningKey;

use crate::client::{Ask, Client, TARGET};
use crate::resources::{Huskarl, Portcullis, Resource, Verifier};

/// Requests that are right but for one thing.
fn probes(client: &Client) -> [(&'static str, Ask); 7] {
    let good = |index| client.proof_of(client.key(), index);
    let other_key = SigningKey::generate(client.key().algorithm());
    let long_ago = SystemClock.now().0 - 10 * 60;
    let ask = |proofs: Vec<String>| Ask { token: client.token(0).to_owned(), proofs };
    [
        ("for another method", ask(vec![good(0).claim("htm", "POST").mint()])),
        ("for another address", ask(vec![good(0).claim("htu", format!("{TARGET}8")).mint()])),
        ("for another token", ask(vec![good(1).mint()])),
        ("for no token at all", ask(vec![good(0).without("ath").mint()])),
        ("of another key", ask(vec![client.proof_of(&other_key, 0).mint()])),
        ("10 minutes old", ask(vec![good(0).claim("iat", long_ago).mint()])),
        ("two headers, each good", ask(vec![good(0).mint(), good(0).mint()])),
    ]
}

/// What each says to bad proofs of this algorithm, row by row.
///
/// # Panics
///
/// If one refuses a good proof.
pub(crate) fn ask_all(algorithm: Algorithm) -> Vec<[String; 4]> {
    let client = Client::new(algorithm);
    let resources: [&mut dyn Resource; 3] =
        [&mut Portcullis::remembering(&client), &mut Verifier::new(&client), &mut Huskarl::new()];
    let probes = probes(&client);
    let names = ["used before"].into_iter().chain(probes.iter().map(|(name, _)| *name));
    let mut rows: Vec<_> = names.map(|name| [name, "", "", ""].map(str::to_owned)).collect();
    for (index, resource) in resources.into_iter().enumerate() {
        let good = client.ask(0);
        assert_eq!(resource.ask(&good), Ok(None), "a good proof");
        let again = resource.ask(&good);
        let mut answers = vec![again];
        answers.extend(probes.iter().map(|(_, ask)| resource.ask(ask)));
        // Not all is refused from then on.
        assert_eq!(resource.ask(&client.ask(0)), Ok(None), "a good proof after bad ones");
        for (row, answer) in rows.iter_mut().zip(answers) {
            row[index + 1] = match answer {
                Err(reason) => reason,
                Ok(Some(left)) => left.to_owned(),
                Ok(None) => "**taken**".to_owned(),
            };
        }
    }
    rows
}
