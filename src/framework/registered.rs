//! A registered type and its schema, which is built when it is first needed.

use std::sync::OnceLock;

use crate::schema::{Body, Type};

/// A registered type and its schema.
pub struct Registered<T: ?Sized> {
    /// The type.
    pub item: Box<T>,
    make_body: fn(&T) -> Body,
    body: OnceLock<Body>,
    ty: OnceLock<Type>,
}

impl<T: ?Sized> Registered<T> {
    /// Registers `item`, whose schema `make_body` builds.
    pub fn new(item: Box<T>, make_body: fn(&T) -> Body) -> Self {
        Self { item, make_body, body: OnceLock::new(), ty: OnceLock::new() }
    }

    /// The schema.
    pub fn body(&self) -> &Body {
        self.body.get_or_init(|| (self.make_body)(&self.item))
    }

    /// The type of its configuration.
    pub fn ty(&self) -> &Type {
        self.ty.get_or_init(|| self.body().ty())
    }
}
