//! Tests of the readers on real files: the text of each fixture, and robustness against damaged and crafted files.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod docx;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod generated_pdfs;
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
mod support;
