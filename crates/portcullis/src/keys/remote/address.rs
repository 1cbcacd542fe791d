//! Where keys may be: the addresses of an issuer's metadata, and those that a tenant must not choose.
use url::{Host, Url};

use super::TENANT;
use crate::fetch::{AddressFault, PlainHosts};
use crate::text::identifier_in;

/// Names below a country's own, below which anybody can register: the usual ones of the Public Suffix List, whose some
/// 10,000 entries change weekly. What is missing here, the operator has to know, as for names that a provider gives out.
const SECOND_LEVEL: [&str; 33] = [
    "ac", "asso", "co", "com", "ed", "edu", "firm", "gen", "go", "gob", "gouv", "gov", "govt",
    "gv", "id", "ind", "info", "ltd", "me", "mil", "muni", "ne", "net", "nic", "nom", "or", "org",
    "plc", "res", "sch", "school", "web", "www",
];

/// Whether whoever is a tenant chooses, with what stands for `{tenant}` in an address, a host or a name that anybody can
/// register.
pub(crate) fn chooses_domain(template: &str) -> bool {
    // As the address is read in the end, whatever its spelling.
    let host = |tenant: &str| {
        let url = Url::parse(&template.replace(TENANT, tenant)).ok()?;
        url.host().map(|host| host.to_owned())
    };
    let (Some(Host::Domain(one)), Some(Host::Domain(other))) = (host("tenant-a"), host("tenant-b"))
    else {
        // That it is not an address is told elsewhere.
        return false;
    };
    if one == other {
        return false;
    }
    let labels = |host: &str| -> Vec<String> {
        host.trim_end_matches('.').split('.').map(str::to_owned).collect()
    };
    let (one, other) = (labels(&one), labels(&other));
    let Some(at) = (0..one.len().min(other.len())).rev().find(|at| one[*at] != other[*at]) else {
        return true;
    };
    match &one[at + 1..] {
        [] => true,
        // RFC 6761 §6.3: this machine.
        [last] => last != "localhost",
        // The first part of an address, such as `10.0.0.1`.
        [.., last] if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") => {
            true
        }
        [second, last] => last.len() == 2 && SECOND_LEVEL.contains(&second.as_str()),
        _ => false,
    }
}

/// Reads an address that a document from `origin` names.
pub(super) fn parse_named(
    text: &str,
    origin: &Url,
    hosts: &PlainHosts,
) -> Result<Url, AddressFault> {
    let url = hosts.parse(text)?;
    // Also keeps what was fetched over TLS from pointing to this machine.
    if origin.scheme() == "https" && url.scheme() != "https" {
        return Err(AddressFault::Downgrade);
    }
    Ok(url)
}

/// Where an issuer's metadata may be: OpenID Connect Discovery 1.0 §4 puts the well-known part
/// behind the identifier, RFC 8414 §3 in front of its path, and §5 OpenID's as well, where MCP has clients ask.
pub(super) fn metadata_addresses(
    issuer: &str,
    hosts: &PlainHosts,
) -> Result<[Url; 3], AddressFault> {
    if identifier_in(issuer).is_some() {
        return Err(AddressFault::Metadata);
    }
    let url = hosts.parse(issuer)?;
    // RFC 8414 §2: no query and no fragment.
    if url.query().is_some() {
        return Err(AddressFault::Extra);
    }
    let path = url.path().trim_end_matches('/');
    let at = |path: &str| {
        let mut url = url.clone();
        url.set_path(path);
        url
    };
    Ok([
        at(&format!("{path}/.well-known/openid-configuration")),
        at(&format!("/.well-known/oauth-authorization-server{path}")),
        at(&format!("/.well-known/openid-configuration{path}")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_over_https_names_no_address_without_it_not_even_on_loopback() {
        let hosts = PlainHosts(vec!["keycloak".to_owned()]);
        let over = |scheme: &str| Url::parse(&format!("{scheme}://localhost/")).unwrap();
        for text in ["http://127.0.0.1/jwks", "http://keycloak/jwks"] {
            assert_eq!(parse_named(text, &over("https"), &hosts), Err(AddressFault::Downgrade));
            assert!(parse_named(text, &over("http"), &hosts).is_ok(), "{text}");
        }
        assert!(parse_named("https://keys.example/", &over("http"), &hosts).is_ok());
    }

    #[test]
    fn the_well_known_part_goes_behind_the_identifier_or_in_front_of_its_path() {
        for (issuer, paths) in [
            (
                "https://id.example",
                [
                    "/.well-known/openid-configuration",
                    "/.well-known/oauth-authorization-server",
                    "/.well-known/openid-configuration",
                ],
            ),
            (
                "https://id.example/",
                [
                    "/.well-known/openid-configuration",
                    "/.well-known/oauth-authorization-server",
                    "/.well-known/openid-configuration",
                ],
            ),
            (
                "https://id.example:8443/realms/acme",
                [
                    "/realms/acme/.well-known/openid-configuration",
                    "/.well-known/oauth-authorization-server/realms/acme",
                    "/.well-known/openid-configuration/realms/acme",
                ],
            ),
            (
                "https://id.example/acme/",
                [
                    "/acme/.well-known/openid-configuration",
                    "/.well-known/oauth-authorization-server/acme",
                    "/.well-known/openid-configuration/acme",
                ],
            ),
        ] {
            let origin = Url::parse(issuer).unwrap().origin().ascii_serialization();
            let found = metadata_addresses(issuer, &PlainHosts::default()).unwrap();
            assert_eq!(found.map(String::from), paths.map(|path| format!("{origin}{path}")));
        }
    }

    #[test]
    fn no_tenant_chooses_a_name_that_anybody_can_register() {
        let chooses = |template: &str| chooses_domain(&template.replace('*', TENANT));
        for template in [
            "https://*",
            "https://*/",
            "https://*:8443/",
            "https://*./",
            "https://*.:443/",
            "https://*.com/",
            "https://*.COM/",
            "https://*.com./",
            "https://*.com:443/a.b",
            "https://*.co.uk/",
            "https://*.co.uk./",
            "https://*.Com.Au",
            "https://*.org.br?a=b",
            "https://id.*.com/",
            "https://id.*/",
            "https://id-*.io",
            "https://*\u{3002}com/",
            "https://*.c%6fm/",
            "https://*.internal/",
            "https://id.example@*.com/",
            "https://*.id.*.com/*",
        ] {
            assert!(chooses(template), "{template}");
        }
        for template in [
            "https://id.example/*",
            "https://id.example/*.com",
            "https://id.example/?*",
            "https://*.id.example",
            "https://*.id.example./",
            "https://id-*.acme.com/",
            "https://*.a.co.uk/",
            "https://*.eu.auth0.com/",
            "https://*.okta.com/",
            "https://a.*.id.example/",
            "https://*.id.example/*",
            "http://*.localhost:8080/",
            // No addresses, which is told elsewhere.
            "*",
            "urn:*",
            "https://10.*.0.1/",
            "https://*.0.0.1/",
        ] {
            assert!(!chooses(template), "{template}");
        }
    }

    #[test]
    fn an_identifier_with_a_query_or_that_is_no_address_has_no_metadata() {
        for (issuer, fault) in [
            ("https://id.example/?tenant=acme", AddressFault::Extra),
            ("accounts.google.com", AddressFault::NotAUrl),
            ("http://id.example", AddressFault::PlainHttp),
            ("https://id.example/.well-known/openid-configuration", AddressFault::Metadata),
            ("https://id.example/.well-known/oauth-authorization-server/a", AddressFault::Metadata),
        ] {
            assert_eq!(metadata_addresses(issuer, &PlainHosts::default()), Err(fault), "{issuer}");
        }
    }
}
