//! What may be done to a request.
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use portcullis::Algorithm;
use serde_json::{Value, json};

use crate::case::{BASE, Draft, Spelling, thumbprint_of_ed25519};

/// Something that is done to a request.
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) apply: Box<dyn Fn(&mut Draft<'_>)>,
}

fn change(name: impl Into<String>, apply: impl Fn(&mut Draft<'_>) + 'static) -> Change {
    Change { name: name.into(), apply: Box::new(apply) }
}

/// All of them.
pub(crate) fn all(now: i64) -> Vec<Change> {
    [
        schemes(),
        tokens(),
        bindings(),
        bindings_as_bearer(),
        proof_counts(),
        proof_headers(),
        proof_keys(),
        proof_claims(),
        token_hashes(),
        times(now),
        addresses(),
        targets(),
        methods(),
        json_texts(),
        encodings(),
        signatures(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn schemes() -> Vec<Change> {
    type Authorization = fn(&str) -> Vec<String>;
    let schemes: [(&str, Authorization); 13] = [
        ("`dpop`", |token| vec![format!("dpop {token}")]),
        ("`DPOP`", |token| vec![format!("DPOP {token}")]),
        ("`Bearer`", |token| vec![format!("Bearer {token}")]),
        ("`bEARER`", |token| vec![format!("bEARER {token}")]),
        ("two spaces", |token| vec![format!("DPoP  {token}")]),
        ("a tab", |token| vec![format!("DPoP\t{token}")]),
        ("no space", |token| vec![format!("DPoP{token}")]),
        ("no token", |_| vec!["DPoP".to_owned()]),
        ("no `Authorization`", |_| Vec::new()),
        ("`Basic`", |_| vec!["Basic dDp0".to_owned()]),
        ("two tokens in one field", |token| vec![format!("DPoP {token} {token}")]),
        ("two fields", |token| vec![format!("DPoP {token}"), format!("DPoP {token}")]),
        ("both schemes", |token| vec![format!("Bearer {token}"), format!("DPoP {token}")]),
    ];
    let of = |(name, apply): (&str, Authorization)| {
        change(format!("scheme: {name}"), move |draft| draft.authorization = apply)
    };
    schemes.map(of).into()
}

fn tokens() -> Vec<Change> {
    vec![
        change("token: expired", |draft| draft.change_token(|token| token.expired())),
        change("token: for another", |draft| {
            draft.change_token(|token| token.audience("https://other.example"));
        }),
        change("token: another issuer", |draft| {
            draft.change_token(|token| token.claim("iss", "https://evil.example"));
        }),
        change("token: forged", |draft| {
            let foreign = draft.world.foreign[0].clone().with_id("es256-1");
            draft.change_token(|token| token.signed_by(&foreign));
        }),
        change("token: of another type", |draft| draft.change_token(|token| token.typ("JWT"))),
        change("token: a proof's type", |draft| draft.change_token(|token| token.typ("dpop+jwt"))),
        change("token: without expiry", |draft| draft.change_token(|token| token.without("exp"))),
        change("token: not yet", |draft| {
            let later = draft.world.now + 3600;
            draft.change_token(|token| token.claim("nbf", later));
        }),
        change("token: the proof", |draft| {
            let proof = draft.proof.mint();
            draft.change_token(|token| token.raw_payload(proof));
        }),
    ]
}

fn bindings() -> Vec<Change> {
    let of = |name: &str, cnf: fn(&Draft<'_>) -> Value| {
        change(format!("cnf: {name}"), move |draft| {
            let cnf = cnf(draft);
            draft.change_token(|token| token.claim("cnf", cnf));
        })
    };
    vec![
        change("cnf: none", |draft| draft.change_token(|token| token.without("cnf"))),
        of("another key", |draft| json!({ "jkt": draft.world.foreign[draft.key].thumbprint() })),
        of(
            "the issuer's key",
            |draft| json!({ "jkt": draft.world.issuer.key(Algorithm::ES256).thumbprint() }),
        ),
        of("empty", |_| json!({})),
        of("null", |_| json!(null)),
        of("a text", |draft| json!(draft.thumbprint())),
        of("a list", |draft| json!([{ "jkt": draft.thumbprint() }])),
        of("jkt a list", |draft| json!({ "jkt": [draft.thumbprint()] })),
        of("jkt a number", |_| json!({ "jkt": 1 })),
        of("jkt null", |_| json!({ "jkt": null })),
        of("jkt empty", |_| json!({ "jkt": "" })),
        of("jkt padded", |draft| json!({ "jkt": format!("{}=", draft.thumbprint()) })),
        of("jkt cut", |draft| json!({ "jkt": draft.thumbprint()[..42] })),
        of("jkt in lower case", |draft| json!({ "jkt": draft.thumbprint().to_lowercase() })),
        of("JKT", |draft| json!({ "JKT": draft.thumbprint() })),
        of("a certificate", |draft| json!({ "x5t#S256": draft.thumbprint() })),
        of("both", |draft| json!({ "jkt": draft.thumbprint(), "x5t#S256": draft.thumbprint() })),
        of("jkt and something", |draft| json!({ "jkt": draft.thumbprint(), "x": 1 })),
        of("a jwk", |draft| json!({ "jwk": draft.public_key() })),
    ]
}

/// As a bearer token, and with no proof.
fn bindings_as_bearer() -> Vec<Change> {
    let of = |name: &str, cnf: fn(&Draft<'_>) -> Value| {
        change(format!("as Bearer: {name}"), move |draft| {
            let cnf = cnf(draft);
            draft.change_token(|token| token.claim("cnf", cnf));
            draft.authorization = |token| vec![format!("Bearer {token}")];
            draft.proofs = |_| Vec::new();
        })
    };
    vec![
        change("as Bearer: unbound", |draft| {
            draft.change_token(|token| token.without("cnf"));
            draft.authorization = |token| vec![format!("Bearer {token}")];
            draft.proofs = |_| Vec::new();
        }),
        change("as Bearer: unbound, with a proof", |draft| {
            draft.change_token(|token| token.without("cnf"));
            draft.authorization = |token| vec![format!("Bearer {token}")];
        }),
        of("bound", |draft| json!({ "jkt": draft.thumbprint() })),
        of("empty", |_| json!({})),
        of("null", |_| json!(null)),
        of("jkt null", |_| json!({ "jkt": null })),
        of("jkt a number", |_| json!({ "jkt": 0 })),
        of("jkt empty", |_| json!({ "jkt": "" })),
        of("a certificate", |draft| json!({ "x5t#S256": draft.thumbprint() })),
        of("a list", |_| json!([])),
    ]
}

fn proof_counts() -> Vec<Change> {
    type Proofs = fn(&str) -> Vec<String>;
    let counts: [(&str, Proofs); 8] = [
        ("none", |_| Vec::new()),
        ("an empty one", |_| vec![String::new()]),
        ("twice", |proof| vec![proof.to_owned(), proof.to_owned()]),
        ("and an empty one", |proof| vec![proof.to_owned(), String::new()]),
        ("twice in one field", |proof| vec![format!("{proof}, {proof}")]),
        ("with a scheme", |proof| vec![format!("DPoP {proof}")]),
        ("four parts", |proof| vec![format!("{proof}.e30")]),
        ("two parts", |proof| vec![proof.rsplit_once('.').unwrap_or_default().0.to_owned()]),
    ];
    let of = |(name, apply): (&str, Proofs)| {
        change(format!("proofs: {name}"), move |draft| draft.proofs = apply)
    };
    counts.map(of).into()
}

/// A member of a proof's header.
fn header(name: &'static str, value: Value) -> Change {
    change(format!("header: {name} {value}"), move |draft| {
        draft.change_proof(|proof| proof.header(name, value.clone()));
    })
}

fn proof_headers() -> Vec<Change> {
    let mut changes: Vec<_> = [
        ("typ", json!("JWT")),
        ("typ", json!("at+jwt")),
        ("typ", json!("DPOP+JWT")),
        ("typ", json!("application/dpop+jwt")),
        ("typ", json!("dpop")),
        ("typ", json!("")),
        ("typ", json!(1)),
        ("typ", json!(["dpop+jwt"])),
        ("typ", json!(null)),
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS256")),
        ("alg", json!("ES256")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!("PS256")),
        ("alg", json!("EdDSA")),
        ("alg", json!("Ed25519")),
        ("alg", json!("es256")),
        ("alg", json!("ES256K")),
        ("alg", json!(["ES256"])),
        ("alg", json!(null)),
        ("kid", json!("1")),
        ("kid", json!(1)),
        ("x", json!({ "any": [1, "2", null] })),
        ("crit", json!(["x"])),
        ("crit", json!([])),
        ("crit", json!(null)),
        ("b64", json!(false)),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/x5u")),
        ("x5c", json!(["AAAA"])),
        ("jwk", json!("a text")),
        ("jwk", json!({})),
        ("jwk", json!(null)),
        ("jwk", json!([])),
        ("jwk", json!({ "kty": "oct", "k": "c2VjcmV0" })),
    ]
    .map(|(name, value)| header(name, value))
    .into();
    for name in ["typ", "alg", "jwk"] {
        changes.push(change(format!("header: no {name}"), move |draft| {
            draft.change_proof(|proof| proof.without_header(name));
        }));
    }
    changes
}

fn proof_keys() -> Vec<Change> {
    let member = |name: &'static str, value: Value| {
        change(format!("jwk: {name} {value}"), move |draft| draft.change_jwk(name, value.clone()))
    };
    let of_own = |what: &str, name: &'static str, apply: fn(&str) -> String| {
        change(format!("jwk: {name} {what}"), move |draft| {
            let own = draft.public_key()[name].as_str().map(apply);
            draft.change_jwk(name, own.into());
        })
    };
    let mut changes: Vec<_> = [
        ("d", json!("AAAA")),
        ("d", json!("870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE")),
        ("k", json!("AAAA")),
        ("p", json!("AAAA")),
        ("oth", json!([])),
        ("use", json!("sig")),
        ("use", json!("enc")),
        ("key_ops", json!(["verify"])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!(["sign", "verify"])),
        ("key_ops", json!([])),
        ("alg", json!("ES256")),
        ("alg", json!("ES384")),
        ("alg", json!("unknown")),
        ("ext", json!(true)),
        ("ext", json!(false)),
        ("kid", json!("1")),
        ("unknown", json!({ "any": 1 })),
        ("kty", json!("EC")),
        ("kty", json!("oct")),
        ("kty", json!("ec")),
        ("kty", json!(null)),
        ("crv", json!("P-256")),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("x", json!("")),
        ("y", json!("AAAA")),
        ("e", json!("AQAB")),
    ]
    .map(|(name, value)| member(name, value))
    .into();
    changes.extend([
        of_own("padded", "x", |x| format!("{x}=")),
        of_own("with a space", "x", |x| format!("{x} ")),
        of_own("doubled", "x", |x| format!("{x}{x}")),
        of_own("off the curve", "y", |y| y.chars().rev().collect()),
        change("jwk: somebody else's", |draft| {
            let jwk = draft.world.foreign[draft.key].public_jwk();
            draft.jwk = jwk;
        }),
        change("jwk: somebody else's, who signs", |draft| {
            let jwk = draft.world.foreign[draft.key].public_jwk();
            draft.jwk = jwk;
            draft.spelling.is_foreign = true;
        }),
        change("jwk: of small order", of_small_order),
    ]);
    changes
}

/// The point of order 1: what anybody "signs" with it verifies, where nobody looks.
fn of_small_order(draft: &mut Draft<'_>) {
    let mut point = [0; 32];
    point[0] = 1;
    let x = URL_SAFE_NO_PAD.encode(point);
    let thumbprint = thumbprint_of_ed25519(&x);
    draft.change_token(|token| token.claim("cnf", json!({ "jkt": thumbprint })));
    draft.change_proof(|proof| proof.header("alg", "EdDSA"));
    draft.jwk = Some(json!({ "kty": "OKP", "crv": "Ed25519", "x": x }));
    draft.spelling.signature = |_| {
        let mut signature = vec![0; 64];
        signature[0] = 1;
        signature
    };
}

/// A claim of a proof.
fn claim(name: &'static str, value: Value) -> Change {
    let shown: String = value.to_string().chars().take(40).collect();
    change(format!("proof: {name} {shown}"), move |draft| {
        draft.has_own_token_hash |= name == "ath";
        draft.change_proof(|proof| proof.claim(name, value.clone()));
    })
}

fn proof_claims() -> Vec<Change> {
    let deep = |depth: usize| (0..depth).fold(json!(1), |value, _| json!([value]));
    let mut changes: Vec<_> = [
        ("jti", json!(1)),
        ("jti", json!("")),
        ("jti", json!(["1"])),
        ("jti", json!(null)),
        ("jti", json!("x".repeat(257))),
        ("jti", json!("y".repeat(5000))),
        ("htm", json!("PUSH")),
        ("htm", json!("get")),
        ("htm", json!(" GET")),
        ("htm", json!(1)),
        ("htm", json!(["GET"])),
        ("htm", json!(null)),
        ("htm", json!("")),
        ("htu", json!(1)),
        ("htu", json!(["https://api.example/orders"])),
        ("htu", json!(null)),
        ("htu", json!("")),
        ("nonce", json!("any")),
        ("nonce", json!(1)),
        ("iss", json!("https://client.example")),
        ("iss", json!(1)),
        ("aud", json!("https://other.example")),
        ("aud", json!(1)),
        ("sub", json!(1)),
        ("unknown", json!({ "any": [1, 2.5, true, null, "\u{e9}\u{1f600}"] })),
        ("unknown", deep(10)),
        ("unknown", deep(100)),
        ("unknown", json!("z".repeat(9000))),
    ]
    .map(|(name, value)| claim(name, value))
    .into();
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        changes.push(change(format!("proof: no {name}"), move |draft| {
            draft.has_own_token_hash |= name == "ath";
            draft.change_proof(|proof| proof.without(name));
        }));
    }
    changes
}

fn token_hashes() -> Vec<Change> {
    type Spell = fn(&str) -> String;
    let mut changes: Vec<_> = ["", "AAAA", "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"]
        .map(|hash| claim("ath", json!(hash)))
        .into();
    changes.push(change("ath: of another token", |draft| {
        let other = draft.world.issuer.token(Algorithm::ES256).mint();
        draft.has_own_token_hash = true;
        draft.change_proof(|proof| proof.token(&other));
    }));
    let spellings: [(&str, Spell); 3] = [
        ("padded", |hash| format!("{hash}=")),
        ("in lower case", str::to_lowercase),
        ("cut", |hash| hash[..42].to_owned()),
    ];
    for (name, spell) in spellings {
        changes.push(change(format!("ath: {name}"), move |draft| draft.token_hash = spell));
    }
    changes.extend([json!(1), json!(null), json!(["x"])].map(|value| claim("ath", value)));
    changes
}

fn times(now: i64) -> Vec<Change> {
    let offsets = [
        -100_000, -301, -300, -299, -61, -60, -59, -10, -1, 1, 9, 10, 11, 59, 299, 300, 301,
        100_000,
    ];
    let mut changes: Vec<_> =
        offsets.map(|offset| claim("iat", json!(now + offset))).into_iter().collect();
    let precise = |offset: f64| {
        #[expect(clippy::cast_precision_loss, reason = "a time of this century is exact")]
        let time = now as f64 + offset;
        json!(time)
    };
    changes.extend([-300.5, -60.5, -0.5, 0.5, 10.5, 300.5].map(|it| claim("iat", precise(it))));
    changes.extend(
        [json!(now.to_string()), json!(null), json!(true), json!([now]), json!(-1), json!(0)]
            .map(|value| claim("iat", value)),
    );
    changes.push(claim("iat", json!(1e300)));
    for name in ["nbf", "exp"] {
        changes.extend([-61, -1, 0, 1, 10, 11, 61].map(|it| claim(name, json!(now + it))));
        changes.extend([json!("1"), json!(null), json!([1])].map(|it| claim(name, it)));
    }
    changes
}

/// Other spellings of the same address, and other addresses.
fn addresses() -> Vec<Change> {
    let of = |name: &str, apply: fn(&str) -> String| {
        change(format!("htu: {name}"), move |draft| {
            let path = draft.htu.strip_prefix(BASE).unwrap_or_default().to_owned();
            draft.htu = apply(&path);
            let htu = draft.htu.clone();
            draft.change_proof(|proof| proof.claim("htu", htu));
        })
    };
    vec![
        of("with a query", |path| format!("{BASE}{path}?any=1&x=/../y")),
        of("with a fragment", |path| format!("{BASE}{path}#any?x")),
        of("with both", |path| format!("{BASE}{path}?any#?")),
        of("with an empty query", |path| format!("{BASE}{path}?")),
        of("scheme in capitals", |path| format!("HTTPS://api.example{path}")),
        of("host in capitals", |path| format!("https://API.Example{path}")),
        of("the usual port", |path| format!("https://api.example:443{path}")),
        of("an empty port", |path| format!("https://api.example:{path}")),
        of("a port with a zero", |path| format!("https://api.example:0443{path}")),
        of("another port", |path| format!("https://api.example:8443{path}")),
        of("no port at all", |path| format!("https://api.example:x{path}")),
        of("too great a port", |path| format!("https://api.example:65979{path}")),
        of("another scheme", |path| format!("http://api.example{path}")),
        of("another scheme's port", |path| format!("http://api.example:443{path}")),
        of("wss", |path| format!("wss://api.example{path}")),
        of("another host", |path| format!("https://evil.example{path}")),
        of("a longer host", |path| format!("https://api.example.evil.example{path}")),
        of("a host with a dot", |path| format!("https://api.example.{path}")),
        of("a host with an escape", |path| format!("https://api%2eexample{path}")),
        of("a wide host", |path| format!("https://api\u{ff0e}example{path}")),
        of("a user", |path| format!("https://user@api.example{path}")),
        of("an empty user", |path| format!("https://@api.example{path}")),
        of("a host as a user", |path| format!("https://api.example@evil.example{path}")),
        of("relative", str::to_owned),
        of("without a scheme", |path| format!("//api.example{path}")),
        of("one slash", |path| format!("https:/api.example{path}")),
        of("no slash", |path| format!("https:api.example{path}")),
        of("three slashes", |path| format!("https:///api.example{path}")),
        of("backslashes", |path| format!("https:\\\\api.example{}", path.replace('/', "\\"))),
        of("a space before", |path| format!(" {BASE}{path}")),
        of("a space behind", |path| format!("{BASE}{path} ")),
        of("a line break in it", |path| format!("https://api.\nexample{path}")),
        of("a slash more", |path| format!("{BASE}{path}/")),
        of("a double slash", |path| format!("{BASE}/{path}")),
        of("in capitals", |path| format!("{BASE}{}", path.to_uppercase())),
        of("another path", |_| format!("{BASE}/other")),
        of("no path", |_| BASE.to_owned()),
        of("dot segments", |path| format!("{BASE}/a/..{path}")),
        of("a dot segment", |path| format!("{BASE}/.{path}")),
        of("escaped dot segments", |path| format!("{BASE}/a/%2e%2E{path}")),
        of("a dot segment behind", |path| format!("{BASE}{path}/.")),
        of("escaped letters", |path| format!("{BASE}{}", path.replace('o', "%6f"))),
        of("escaped slashes", |path| {
            format!("{BASE}/{}", path.get(1..).unwrap_or_default().replace('/', "%2F"))
        }),
        of("escapes in lower case", |path| format!("{BASE}{}", lower_escapes(path))),
        of("a broken escape", |path| format!("{BASE}{path}%zz")),
        of("half an escape", |path| format!("{BASE}{path}%2")),
        of("escapes decoded", |path| format!("{BASE}{}", path.replace("%C3%A9", "\u{e9}"))),
        of("a tilde decoded", |path| format!("{BASE}{}", path.replace("%7E", "~"))),
        of("with a long query", |path| format!("{BASE}{path}?{}", "q".repeat(2100))),
    ]
}

fn lower_escapes(path: &str) -> String {
    let mut rest = 0;
    let lower = |letter: char| {
        rest = if letter == '%' { 3_u8 } else { rest.saturating_sub(1) };
        if rest > 0 { letter.to_ascii_lowercase() } else { letter }
    };
    path.chars().map(lower).collect()
}

/// Other targets than a client that is well would ask for, with a proof for the very same.
fn targets() -> Vec<Change> {
    let of = |name: &str, path: String| {
        change(format!("target: {name}"), move |draft| {
            draft.htu = format!("{BASE}{path}");
            draft.target.clone_from(&path);
            let htu = draft.htu.clone();
            draft.change_proof(|proof| proof.claim("htu", htu));
        })
    };
    let odd = [
        "/a/../orders",
        "/./orders",
        "/orders/..",
        "/a/%2e%2e/orders",
        "//orders",
        "/%zz",
        "/a%",
        "/orders/%00",
    ];
    let mut changes: Vec<_> = odd.map(|path| of(path, path.to_owned())).into();
    changes.push(of("a long path", format!("/{}", "a".repeat(2040))));
    changes.push(of("too long a path", format!("/{}", "a".repeat(2100))));
    changes.push(change("target: a query that is a path", |draft| draft.target.push_str("?/../")));
    changes.push(change("target: dots that the proof has not", |draft| {
        draft.target = format!("/a/..{}", draft.target);
    }));
    changes.push(change("target: escapes that the proof has not", |draft| {
        draft.target = draft.target.replace("ord", "%6Frd");
    }));
    changes
}

fn methods() -> Vec<Change> {
    let of = |asked: &'static str, proven: &'static str| {
        change(format!("method: {asked}, proof: {proven}"), move |draft| {
            draft.method = asked.to_owned();
            draft.change_proof(|proof| proof.claim("htm", proven));
        })
    };
    vec![
        of("get", "get"),
        of("get", "GET"),
        of("GET", "get"),
        of("GET", "POST"),
        of("HEAD", "GET"),
        of("patch", "patch"),
        of("patch", "PATCH"),
        of("PURGE", "PURGE"),
        of("M-SEARCH", "M-SEARCH"),
    ]
}

fn json_texts() -> Vec<Change> {
    type Edit = fn(Vec<u8>) -> Vec<u8>;
    fn insert(mut json: Vec<u8>, text: &[u8]) -> Vec<u8> {
        json.splice(1..1, text.iter().copied());
        json
    }
    let edits: [(&str, Edit); 14] = [
        ("a member twice", |json| insert(json, br#""jti":"of-another","#)),
        ("an unknown member twice", |json| insert(json, br#""u":1,"u":2,"#)),
        ("escaped letters", |json| insert(json, br#""\u0061ny":"\u00e9\/","#)),
        ("half a surrogate", |json| insert(json, br#""any":"\ud800","#)),
        ("not UTF-8", |json| insert(json, b"\"any\":\"\xff\",")),
        ("a control character", |json| insert(json, b"\"any\":\"\x01\",")),
        ("a trailing comma", |json| insert(json, b",")),
        ("a prototype", |json| insert(json, br#""__proto__":{"jti":"x"},"#)),
        ("a great number", |json| insert(json, br#""any":1e999,"#)),
        ("white space around", |json| [b" \r\n\t", &*json, b" \n"].concat()),
        ("a byte order mark", |json| [b"\xef\xbb\xbf", &*json].concat()),
        ("something behind", |json| [&*json, b"x"].concat()),
        ("a list", |json| [b"[", &*json, b"]"].concat()),
        ("nothing", |_| Vec::new()),
    ];
    let of_payload = edits.map(|(name, edit)| {
        change(format!("payload: {name}"), move |draft| draft.spelling.payload = edit)
    });
    let of_header = edits.map(|(name, edit)| {
        change(format!("header: {name}"), move |draft| draft.spelling.header = edit)
    });
    let alg_twice: Edit = |json| insert(json, br#""alg":"none","#);
    let mut changes: Vec<_> = of_payload.into_iter().chain(of_header).collect();
    changes.push(change("header: alg twice", move |draft| draft.spelling.header = alg_twice));
    changes
}

fn encodings() -> Vec<Change> {
    let of = |name: &str, apply: fn(&mut Spelling)| {
        change(format!("encoding: {name}"), move |draft| apply(&mut draft.spelling))
    };
    vec![
        of("a padded header", |it| it.encode_header = |json| URL_SAFE.encode(padding(json))),
        of("a padded payload", |it| it.encode_payload = |json| URL_SAFE.encode(padding(json))),
        of("a padded signature", |it| it.encode_signature = |bytes| URL_SAFE.encode(bytes)),
        of("the other alphabet", |it| {
            it.payload = |json| [&json[..1], br#""any":"??????>>>>>>","#, &json[1..]].concat();
            it.encode_payload = |json| STANDARD_NO_PAD.encode(json);
        }),
        of("a signature in the other alphabet", |it| {
            it.encode_signature = |bytes| STANDARD_NO_PAD.encode(bytes);
        }),
        of("a padded signature in the other alphabet", |it| {
            it.encode_signature = |bytes| STANDARD.encode(bytes);
        }),
        of("white space", |it| {
            it.encode_payload = |json| format!("{} ", URL_SAFE_NO_PAD.encode(json));
        }),
        of("no base64", |it| {
            it.encode_payload = |json| format!("{}!", URL_SAFE_NO_PAD.encode(json));
        }),
        of("another last letter", |it| {
            it.encode_signature = |bytes| {
                let mut text = URL_SAFE_NO_PAD.encode(bytes);
                // The lowest bit of the last letter stands for nothing, where bytes do not fill it.
                let last = text.pop().unwrap_or_default();
                let other = char::from_u32(u32::from(last) + 1).unwrap_or(last);
                format!("{text}{other}")
            };
        }),
    ]
}

/// With white space, so that it takes padding.
fn padding(json: &[u8]) -> Vec<u8> {
    let mut json = json.to_vec();
    while json.len().is_multiple_of(3) {
        json.push(b' ');
    }
    json
}

fn signatures() -> Vec<Change> {
    type Edit = fn(Vec<u8>) -> Vec<u8>;
    let edits: [(&str, Edit); 7] = [
        ("a bit changed", |mut it| {
            it[10] ^= 1;
            it
        }),
        ("none", |_| Vec::new()),
        ("nothing but zeros", |it| vec![0; it.len()]),
        ("cut", |mut it| {
            it.pop();
            it
        }),
        ("a byte more", |mut it| {
            it.push(0);
            it
        }),
        ("halves exchanged", |mut it| {
            let half = it.len() / 2;
            it.rotate_left(half);
            it
        }),
        ("its twin", twin),
    ];
    let of = |(name, edit): (&str, Edit)| {
        change(format!("signature: {name}"), move |draft| draft.spelling.signature = edit)
    };
    let mut changes: Vec<_> = edits.map(of).into();
    changes.push(change("signature: somebody else's", |draft| draft.spelling.is_foreign = true));
    changes
}

/// With P-256, *n − s* in place of *s*: it verifies as well.
fn twin(mut signature: Vec<u8>) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    if signature.len() == 64 {
        let mut borrow = false;
        for (byte, of_order) in signature[32..].iter_mut().zip(ORDER).rev() {
            let (first, one) = of_order.overflowing_sub(*byte);
            let (second, other) = first.overflowing_sub(u8::from(borrow));
            (*byte, borrow) = (second, one || other);
        }
    }
    signature
}
