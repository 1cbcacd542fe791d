//! Types for the claims that most services read, so that not every one declares its own.
use core::fmt;

use serde::{Deserialize, Deserializer};

/// The registered claims (RFC 7519 §4.1) and the client (RFC 8693 §4.3).
///
/// Add claims of your own by `#[serde(flatten)]`:
///
/// ```
/// use portcullis::claims::RegisteredClaims;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// struct Claims {
///     #[serde(flatten)]
///     registered: RegisteredClaims,
///     tenant: String,
/// }
/// # use portcullis::Algorithm;
/// # let issuer = portcullis_testkit::TestIssuer::new("https://id.example");
/// # let token = issuer.token(Algorithm::ES256).subject("alice").claim("tenant", "acme");
/// # let token = issuer.policy().verify_token_now(&token.mint())?;
/// let claims = token.claims::<Claims>()?;
/// assert_eq!(claims.registered.sub.as_deref(), Some("alice"));
/// assert_eq!(claims.tenant, "acme");
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// Its `Debug` shows no claim.
#[non_exhaustive]
#[derive(Clone, Default, Deserialize, Eq, PartialEq)]
pub struct RegisteredClaims {
    /// The issuer.
    pub iss: Option<String>,
    /// Whom the token is about. Unique only together with the issuer.
    pub sub: Option<String>,
    /// Whom it is meant for. A single string is a list of one.
    #[serde(default, deserialize_with = "one_or_many")]
    pub aud: Vec<String>,
    /// When it expires, in seconds since 1970.
    #[serde(default, deserialize_with = "seconds")]
    pub exp: Option<i64>,
    /// From when on it is valid, in seconds since 1970.
    #[serde(default, deserialize_with = "seconds")]
    pub nbf: Option<i64>,
    /// When it was issued, in seconds since 1970.
    #[serde(default, deserialize_with = "seconds")]
    pub iat: Option<i64>,
    /// Its id.
    pub jti: Option<String>,
    /// The client that asked for it.
    pub client_id: Option<String>,
}

/// What providers say of a user: the claims of the scopes `profile`, `email` and `phone`
/// (OpenID Connect Core 1.0 §5.1), each where the token has it.
///
/// Access tokens of most providers have few of them; ask the provider for more. Its `Debug` shows no claim.
///
/// ```
/// use portcullis::claims::OpenIdProfile;
/// # use portcullis::Algorithm;
/// # let issuer = portcullis_testkit::TestIssuer::new("https://id.example");
/// # let token = issuer.token(Algorithm::ES256).claim("email", "alice@example.com");
/// # let token = token.claim("email_verified", true);
/// # let token = issuer.policy().verify_token_now(&token.mint())?;
/// let user = token.claims::<OpenIdProfile>()?;
/// assert_eq!(user.verified_email(), Some("alice@example.com"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Default, Deserialize, Eq, PartialEq)]
#[serde(default)]
pub struct OpenIdProfile {
    /// Whom it is about. Unique only together with the issuer.
    pub sub: Option<String>,
    /// The full name, as it is shown.
    pub name: Option<String>,
    /// The given name, or several.
    pub given_name: Option<String>,
    /// The family name, or several.
    pub family_name: Option<String>,
    /// The middle name, or several.
    pub middle_name: Option<String>,
    /// A casual name.
    pub nickname: Option<String>,
    /// The name by which the user would like to be called. Not unique, and it changes: never look up accounts by it.
    pub preferred_username: Option<String>,
    /// The address of a page about the user.
    pub profile: Option<String>,
    /// The address of a picture.
    pub picture: Option<String>,
    /// The address of a site of the user's.
    pub website: Option<String>,
    /// The email address. Whether it is the user's, [`verified_email`](Self::verified_email) says.
    pub email: Option<String>,
    /// Whether the provider has seen that the address is the user's. `true` and `"true"` count: some providers send
    /// text.
    #[serde(deserialize_with = "flag")]
    pub email_verified: Option<bool>,
    /// The gender, as the user says.
    pub gender: Option<String>,
    /// The birthday: `YYYY-MM-DD`, where the year may be `0000`, or `YYYY`.
    pub birthdate: Option<String>,
    /// The time zone: `Europe/Vienna`.
    pub zoneinfo: Option<String>,
    /// The language, as a BCP 47 tag: `de-AT`.
    pub locale: Option<String>,
    /// The telephone number, preferably in E.164: `+43 1 …`.
    pub phone_number: Option<String>,
    /// Whether the provider has seen that the number is the user's.
    #[serde(deserialize_with = "flag")]
    pub phone_number_verified: Option<bool>,
    /// When any of it last changed, in seconds since 1970.
    #[serde(deserialize_with = "seconds")]
    pub updated_at: Option<i64>,
}

impl OpenIdProfile {
    /// The email address, where the provider says that it is the user's. Link accounts by no other.
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified == Some(true))
    }
}

impl fmt::Debug for RegisteredClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredClaims").finish_non_exhaustive()
    }
}

impl fmt::Debug for OpenIdProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenIdProfile").finish_non_exhaustive()
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audiences {
        One(String),
        Many(Vec<String>),
    }
    Ok(match Audiences::deserialize(deserializer)? {
        Audiences::One(one) => vec![one],
        Audiences::Many(many) => many,
    })
}

/// A `NumericDate` (RFC 7519 §2), which may have a fraction.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Whole(i64),
        Fraction(f64),
    }
    Ok(Option::<Seconds>::deserialize(deserializer)?.map(|seconds| match seconds {
        Seconds::Whole(seconds) => seconds,
        Seconds::Fraction(seconds) => seconds as i64,
    }))
}

fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Flag {
        Bool(bool),
        Text(String),
    }
    match Option::<Flag>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Flag::Bool(flag)) => Ok(Some(flag)),
        Some(Flag::Text(text)) => match &*text {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(serde::de::Error::custom("expected `true` or `false`")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(json: &str) -> Result<OpenIdProfile, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn an_address_counts_as_the_users_only_where_the_provider_says_so() {
        let verified = |json: &str| profile(json).unwrap().verified_email().map(str::to_owned);
        let own = Some("a@b.example".to_owned());
        assert_eq!(verified(r#"{"email":"a@b.example","email_verified":true}"#), own);
        assert_eq!(verified(r#"{"email":"a@b.example","email_verified":"true"}"#), own);
        for flag in ["false", r#""false""#, "null"] {
            let json = format!(r#"{{"email":"a@b.example","email_verified":{flag}}}"#);
            assert_eq!(verified(&json), None, "{flag}");
        }
        assert_eq!(verified(r#"{"email":"a@b.example"}"#), None);
        for flag in ["1", r#""yes""#, r#""True""#, "{}"] {
            let json = format!(r#"{{"email":"a@b.example","email_verified":{flag}}}"#);
            assert!(profile(&json).is_err(), "{flag}");
        }
    }

    #[test]
    fn registered_claims_are_read_as_the_policy_reads_them() {
        let read = |json: &str| serde_json::from_str::<RegisteredClaims>(json).unwrap();
        assert_eq!(read(r#"{"aud":"one"}"#).aud, ["one"]);
        assert_eq!(read(r#"{"aud":["one","two"]}"#).aud, ["one", "two"]);
        assert_eq!(read("{}"), RegisteredClaims::default());
        assert_eq!(read(r#"{"exp":1800000000.5}"#).exp, Some(1_800_000_000));
        assert_eq!(read(r#"{"iat":null}"#).iat, None);
    }

    #[test]
    fn debug_shows_no_claim() {
        let json = r#"{"sub":"secret","email":"secret","iss":"secret","jti":"secret"}"#;
        let shown = format!(
            "{:?} {:?}",
            profile(json).unwrap(),
            serde_json::from_str::<RegisteredClaims>(json).unwrap()
        );
        assert!(!shown.contains("secret"), "{shown}");
    }
}
