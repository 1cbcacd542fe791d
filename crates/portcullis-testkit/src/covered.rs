//! Whether a table of routes has what an app has, and nothing else.
use core::fmt::Write;

use portcullis::{Error, RouteTable};

use crate::protected::{Answer, Question};
use crate::routes::{Credentials, Routes};

/// Asks for every route, and panics with those that the table does not have, and with its entries that no route uses.
pub(crate) async fn walk(
    table: &RouteTable,
    token: Credentials,
    routes: Routes<'_>,
    ask: impl AsyncFn(&Question<'_>) -> Result<Answer, String>,
) {
    assert!(!routes.listed().is_empty(), "no routes were given to `assert_covered`");
    let mut faults = Vec::new();
    for (method, route) in routes.listed().iter().copied() {
        let is_covered = table.covers(method, route);
        let mut fault = (!is_covered).then(|| "the table does not have it".to_owned());
        // What the table has not, no handler should be asked for, and others may change something.
        if matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE") {
            let path = sampled(route);
            let question = Question::plain(method, &path, token.clone());
            match ask(&question).await {
                Ok(answer) => {
                    if let Some(why) = fault_of(&answer, path != route, is_covered) {
                        fault = Some(why);
                    }
                }
                Err(error) => fault = Some(format!("with the token it failed: {error}")),
            }
        }
        faults.extend(fault.map(|fault| format!("{method} {route}: {fault}")));
    }
    let unused = table.unused(routes.listed().iter().copied());
    let unused = unused.into_iter().map(|(method, route)| {
        format!("{method} {route}: no route of the list uses this entry of the table")
    });
    faults.extend(unused);
    if faults.is_empty() {
        return;
    }
    let mut message = match faults.len() {
        1 => "the table and the app differ:".to_owned(),
        count => format!("the table and the app differ in {count} routes:"),
    };
    for fault in faults {
        _ = write!(message, "\n  - {fault}");
    }
    panic!("{message}");
}

fn fault_of(answer: &Answer, has_parameters: bool, is_covered: bool) -> Option<String> {
    let status = answer.status();
    match answer.why() {
        Some(Error::RouteUncovered) if is_covered => Some(format!(
            "with the token it answered {status}, since the router has another name for it than the table"
        )),
        Some(Error::RouteUncovered) => None,
        // The policy stands before the table.
        Some(Error::Forbidden(_) | Error::Shape(_)) if is_covered => None,
        Some(why) => Some(format!("with the token it answered {status}: {why}")),
        // A handler may answer so for a parameter that stands for none.
        None if status == 404 && has_parameters => None,
        None if matches!(status, 404 | 405 | 501) => {
            Some(format!("with the token it answered {status}: is there such a route?"))
        }
        None if is_covered => None,
        None => Some(format!(
            "the table does not have it, and does not stand in front of it: it answered {status}"
        )),
    }
}

/// The route with a `1` for each of its parameters, whatever the router says of them.
fn sampled(route: &str) -> String {
    let (mut path, mut depth) = (String::with_capacity(route.len()), 0_usize);
    for char in route.chars() {
        match char {
            '{' if depth == 0 => {
                depth = 1;
                path.push('1');
            }
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            _ if depth == 0 => path.push(char),
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_asked_with_a_sample_for_each_parameter() {
        for (route, expected) in [
            ("/orders", "/orders"),
            ("/orders/{id}", "/orders/1"),
            (r"/orders/{id:\d{2,4}}/items/{item}", "/orders/1/items/1"),
            ("/files/{*rest}", "/files/1"),
            ("/}{", "/}1"),
        ] {
            assert_eq!(sampled(route), expected);
        }
    }
}
