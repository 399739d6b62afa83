//! Content with its classification: the type of everything that can enter a prompt or be returned by a tool.

use crate::role::Classification;

/// Content with its classification.
///
/// A prompt is assembled from such parts, and its class is the highest of theirs. The class decides which backends may
/// serve the prompt, and becomes the class of the answer. The class cannot be dropped by accident: code either reads
/// the content next to its class or takes both with [`Classified::into_parts`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Classified<T> {
    content: T,
    class: Classification,
}

impl<T> Classified<T> {
    /// Wraps content with the given class.
    #[must_use]
    pub const fn new(content: T, class: Classification) -> Self {
        Self { content, class }
    }

    /// Wraps content that knows its own class.
    #[must_use]
    pub fn from_content(content: T) -> Self
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

    /// Borrows the content.
    #[must_use]
    pub const fn content(&self) -> &T {
        &self.content
    }

    /// Borrows the content for changes. They must not add content of a higher class.
    pub const fn content_mut(&mut self) -> &mut T {
        &mut self.content
    }

    /// Borrows the content, keeping the class.
    #[must_use]
    pub const fn as_ref(&self) -> Classified<&T> {
        Classified { content: &self.content, class: self.class }
    }

    /// Transforms the content and keeps the class. `transform` must not add content of a higher class.
    #[must_use]
    pub fn map<U>(self, transform: impl FnOnce(T) -> U) -> Classified<U> {
        Classified { content: transform(self.content), class: self.class }
    }

    /// Combines two contents; the result has the higher of the two classes.
    #[must_use]
    pub fn combine<U, V>(self, other: Classified<U>, merge: impl FnOnce(T, U) -> V) -> Classified<V> {
        Classified { class: self.class.max(other.class), content: merge(self.content, other.content) }
    }

    /// Takes the content and its class apart.
    #[must_use]
    pub fn into_parts(self) -> (T, Classification) {
        (self.content, self.class)
    }
}

impl<T> Classified<Vec<T>> {
    /// An empty list, of the lowest class.
    #[must_use]
    pub const fn empty() -> Self {
        Self { content: Vec::new(), class: Classification::Public }
    }

    /// Appends an item, and raises the class of the list to that of the item if it is higher.
    pub fn push(&mut self, item: Classified<T>) {
        self.class = self.class.max(item.class);
        self.content.push(item.content);
    }

    /// Appends several items, and raises the class of the list to theirs if it is higher.
    pub fn extend(&mut self, items: Classified<Vec<T>>) {
        self.class = self.class.max(items.class);
        self.content.extend(items.content);
    }
}

/// A type that knows its own class.
pub trait HasClass {
    /// The highest class of the contents.
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
    fn combined_content_has_the_highest_class() {
        let public = Classified::new("a", Classification::Public);
        let restricted = Classified::new("b", Classification::Restricted);
        assert_eq!(
            public.combine(restricted, |a, b| format!("{a}{b}")).into_parts(),
            ("ab".to_owned(), Classification::Restricted)
        );
        let mut list = Classified::empty();
        assert_eq!(list.class(), Classification::Public);
        list.push(restricted);
        list.push(public);
        assert_eq!((list.class(), list.content().len()), (Classification::Restricted, 2));
        let mut extended = Classified::empty();
        extended.extend(list);
        assert_eq!(extended.map(|items| items.len()).into_parts(), (2, Classification::Restricted));
    }
}
