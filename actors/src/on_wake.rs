//! An actor polls everything that it waits for with each message. A viewer hears thousands of messages for each byte that
//! its peer sends, so what it waits for is looked at only when it has something to say.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Task, Poll, Wake, Waker};
use std::time::Duration;

use actix::prelude::*;
use actix::utils::IntervalFunc;
use futures_util::task::AtomicWaker;

/// A future of an actor that is polled only when it was woken.
///
/// While the actor waits (`ctx.wait`), nothing else of it is polled. A future that stops for that without having asked to
/// be woken is polled again afterwards.
#[derive(Debug)]
pub(crate) struct OnWake<F> {
    future: F,
    bell: Arc<Bell>,
    waker: Waker,
}

#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    actor: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        self.actor.wake();
    }
}

impl<F> OnWake<F> {
    pub(crate) fn new(future: F) -> Self {
        let bell = Arc::new(Bell { rung: AtomicBool::new(true), actor: AtomicWaker::new() });
        let waker = Waker::from(Arc::clone(&bell));
        Self { future, bell, waker }
    }
}

/// A future of an actor for [`Together`].
pub(crate) type Waiting<A> = Pin<Box<dyn ActorFuture<A, Output = ()>>>;

/// Calls `task` again and again, as `ctx.run_interval` does.
pub(crate) fn every<A>(interval: Duration, task: impl FnMut(&mut A, &mut A::Context) + 'static) -> Waiting<A>
where
    A: Actor,
    A::Context: AsyncContext<A>,
{
    Box::pin(IntervalFunc::new(interval, task).finish())
}

/// Futures that are woken as one, so that an actor has one to ask with each message. It is ready once all are.
pub(crate) struct Together<A: Actor>(Vec<Waiting<A>>);

impl<A: Actor> Together<A> {
    pub(crate) fn new(futures: Vec<Waiting<A>>) -> Self {
        Self(futures)
    }
}

impl<A: Actor> ActorFuture<A> for Together<A>
where
    A::Context: AsyncContext<A>,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, actor: &mut A, ctx: &mut A::Context, task: &mut Task<'_>) -> Poll<()> {
        // While the actor waits, none of them goes on; `OnWake` comes back afterwards.
        self.0.retain_mut(|future| ctx.waiting() || future.as_mut().poll(actor, ctx, task).is_pending());
        if self.0.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<A, F> ActorFuture<A> for OnWake<F>
where
    A: Actor,
    A::Context: AsyncContext<A>,
    F: ActorFuture<A> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, actor: &mut A, ctx: &mut A::Context, task: &mut Task<'_>) -> Poll<F::Output> {
        let Self { future, bell, waker } = &mut *self;
        if !bell.rung.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        bell.actor.register(task.waker());
        bell.rung.swap(false, Ordering::AcqRel);
        let polled = Pin::new(future).poll(actor, ctx, &mut Task::from_waker(waker));
        if polled.is_pending() && ctx.waiting() {
            bell.rung.store(true, Ordering::Relaxed);
        }
        polled
    }
}
