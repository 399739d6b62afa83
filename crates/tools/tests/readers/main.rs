//! The readers on real files: what comes out of each fixture, and that no damage makes them do worse than refuse.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod docx;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod mutate;
#[cfg(test)]
mod pdf;
#[cfg(test)]
mod recognize;
#[cfg(test)]
mod shown;
#[cfg(test)]
mod support;
