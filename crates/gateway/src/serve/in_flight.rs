//! The requests of a connection that are not answered in full: as long as there is one, an event stream say, the connection
//! is not idle.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tower::ServiceExt as _;

/// How many there are.
#[derive(Clone, Default)]
pub(super) struct InFlight(Arc<watch::Sender<usize>>);

/// One of them, until it is dropped.
struct One(InFlight);

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

impl InFlight {
    fn one_more(&self) -> One {
        self.0.send_modify(|count| *count += 1);
        One(self.clone())
    }

    /// Has the router answer; the request is in hand until the answer's body ends, or is given up.
    pub(super) fn answer(
        &self,
        router: Router,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response, Infallible>> + use<> {
        let one = self.one_more();
        async move {
            let response = router.oneshot(request).await?;
            Ok(response.map(|body| Body::new(Held { body, _one: one })))
        }
    }

    /// Returns once there has been none for so long.
    pub(super) async fn none_for(&self, how_long: Duration) {
        let mut count = self.0.subscribe();
        while count.wait_for(|count| *count == 0).await.is_ok() {
            tokio::select! {
                () = tokio::time::sleep(how_long) => return,
                _ = count.changed() => {}
            }
        }
    }
}

/// A body with its request's mark.
struct Held {
    body: Body,
    _one: One,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rest_begins_anew_with_each_request() {
        let in_flight = InFlight::default();
        let begun = tokio::time::Instant::now();
        let busy = async {
            tokio::time::sleep(Duration::from_secs(8)).await;
            let one = in_flight.one_more();
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(one);
            drop(in_flight.one_more());
        };
        tokio::join!(in_flight.none_for(Duration::from_secs(10)), busy);
        assert_eq!(begun.elapsed().as_secs(), 78);
    }
}
