//! Bodies that are forms.
use core::fmt;

use super::body::{self, BodyFault, BoundedBody};
use crate::request::RequestView;

/// The form that is the body of a request (`application/x-www-form-urlencoded`). `Debug` does not show it.
#[derive(Clone)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads it. What is not UTF-8 is replaced, as by other servers, and so is no token or name.
    ///
    /// # Errors
    ///
    /// The request does not say, once, that its body is a form; or the body is not used.
    pub fn read(request: &impl RequestView, body: &BoundedBody) -> Result<Self, FormError> {
        if !body::is_of_type(request, "application/x-www-form-urlencoded") {
            return Err(FormError::MediaType);
        }
        let parameters = form_urlencoded::parse(body.read().map_err(FormError::Body)?);
        let owned = |(name, value): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
            (name.into_owned(), value.into_owned())
        };
        Ok(Self(parameters.map(owned).collect()))
    }

    /// The value of a parameter, as it was sent: it may be empty. `None`: the form does not have it.
    ///
    /// # Errors
    ///
    /// The form has it more than once.
    pub fn parameter(&self, name: &str) -> Result<Option<&str>, RepeatedError> {
        let mut values = self.0.iter().filter(|(own, _)| own == name).map(|(_, value)| &**value);
        match (values.next(), values.next()) {
            (value, None) => Ok(value),
            (_, Some(_)) => Err(RepeatedError),
        }
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Form").finish_non_exhaustive()
    }
}

/// A request does not have a form that can be read.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FormError {
    /// It does not say, once, that its body is a form.
    MediaType,
    /// The body is not used.
    Body(BodyFault),
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MediaType => {
                f.write_str("the body is not of the type `application/x-www-form-urlencoded`")
            }
            Self::Body(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for FormError {}

/// A form has a parameter more than once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RepeatedError;

impl fmt::Display for RepeatedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the form has a parameter more than once")
    }
}

impl core::error::Error for RepeatedError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, text: &[u8]) -> Result<Form, FormError> {
        let request = http::Request::builder().header("content-type", content_type);
        let mut body = BoundedBody::new(16);
        body.push(text);
        Form::read(&request.body(()).expect("a request"), &body)
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn a_parameter_is_there_once_or_not_at_all() {
        let form = read(FORM, b"a=1&b=&c=2&c=2").expect("a form");
        assert_eq!(form.parameter("a"), Ok(Some("1")));
        assert_eq!(form.parameter("b"), Ok(Some("")));
        assert_eq!(form.parameter("A"), Ok(None));
        assert_eq!(form.parameter("c"), Err(RepeatedError));
        assert_eq!(format!("{form:?}"), "Form { .. }");
        let form = read(FORM, b"%61=%C3%A9+%ff").expect("a form");
        assert_eq!(form.parameter("a"), Ok(Some("\u{e9} \u{fffd}")));
    }

    #[test]
    fn another_type_or_a_larger_body_is_no_form() {
        assert_eq!(read("application/json", b"a=1").err(), Some(FormError::MediaType));
        let too_large = FormError::Body(BodyFault::TooLarge { limit: 16 });
        assert_eq!(read(FORM, b"a=1234567890123456").err(), Some(too_large));
    }
}
