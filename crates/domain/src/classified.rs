//! Content with its class: whatever can enter a prompt or leave a tool.

use crate::role::Classification;

/// Content, and how far it may travel.
///
/// A prompt is put together from these, so its class is the highest of its parts; the class decides which backends may
/// see it and what class the answer gets. Content cannot be had without naming what becomes of its class: it is either
/// read beside it or taken out with [`Classified::into_parts`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Classified<T> {
    content: T,
    class: Classification,
}

impl<T> Classified<T> {
    /// Content of this class.
    #[must_use]
    pub const fn new(content: T, class: Classification) -> Self {
        Self { content, class }
    }

    /// Content that says itself how far it may travel.
    #[must_use]
    pub fn of(content: T) -> Self
    where
        T: HasClass,
    {
        let class = content.class();
        Self { content, class }
    }

    /// Class of the content; decides who may see it and which backends may serve it.
    #[must_use]
    pub const fn class(&self) -> Classification {
        self.class
    }

    /// Content, without its class.
    #[must_use]
    pub const fn content(&self) -> &T {
        &self.content
    }

    /// The same content, borrowed.
    #[must_use]
    pub const fn as_ref(&self) -> Classified<&T> {
        Classified { content: &self.content, class: self.class }
    }

    /// Something else made from it, and from nothing that is classified higher.
    #[must_use]
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Classified<U> {
        Classified { content: make(self.content), class: self.class }
    }

    /// Something made from both: of the higher class.
    #[must_use]
    pub fn combine<U, V>(self, other: Classified<U>, make: impl FnOnce(T, U) -> V) -> Classified<V> {
        Classified { class: self.class.max(other.class), content: make(self.content, other.content) }
    }

    /// The content and its class.
    #[must_use]
    pub fn into_parts(self) -> (T, Classification) {
        (self.content, self.class)
    }
}

impl<T> Classified<Vec<T>> {
    /// No content yet: of the lowest class.
    #[must_use]
    pub const fn empty() -> Self {
        Self { content: Vec::new(), class: Classification::Public }
    }

    /// Appends an item; the whole gets its class where that is higher.
    pub fn push(&mut self, item: Classified<T>) {
        self.class = self.class.max(item.class);
        self.content.push(item.content);
    }

    /// Appends several items.
    pub fn append(&mut self, items: Classified<Vec<T>>) {
        self.class = self.class.max(items.class);
        self.content.extend(items.content);
    }
}

/// Something that says itself how far it may travel.
pub trait HasClass {
    /// The highest class of what it holds.
    fn class(&self) -> Classification;
}

impl<T: HasClass> HasClass for [T] {
    fn class(&self) -> Classification {
        self.iter().map(HasClass::class).max().unwrap_or(Classification::Public)
    }
}

impl<T: HasClass> HasClass for Vec<T> {
    fn class(&self) -> Classification {
        self.as_slice().class()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_from_several_parts_is_of_the_highest_class_among_them() {
        let public = Classified::new("a", Classification::Public);
        let restricted = Classified::new("b", Classification::Restricted);
        assert_eq!(
            public.combine(restricted, |a, b| format!("{a}{b}")).into_parts(),
            ("ab".to_owned(), Classification::Restricted)
        );
        let mut all = Classified::empty();
        assert_eq!(all.class(), Classification::Public);
        all.push(restricted);
        all.push(public);
        assert_eq!((all.class(), all.content().len()), (Classification::Restricted, 2));
        let mut more = Classified::empty();
        more.append(all);
        assert_eq!(more.map(|items| items.len()).into_parts(), (2, Classification::Restricted));
    }
}
