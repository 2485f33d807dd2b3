//! Whether anybody watches a source. While nobody does, its publisher is read in larger pieces.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Task, Poll};

use futures_util::task::AtomicWaker;

/// Set by the source, asked by its publisher, which may be on another thread.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    is_there: AtomicBool,
    publisher: AtomicWaker,
}

impl Audience {
    /// Wakes the publisher for the first who comes.
    pub(crate) fn set(&self, is_there: bool) {
        if !self.is_there.swap(is_there, Ordering::AcqRel) && is_there {
            self.publisher.wake();
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.is_there.load(Ordering::Acquire)
    }

    /// Ready as soon as somebody watches.
    pub(crate) fn poll(&self, task: &Task<'_>) -> Poll<()> {
        self.publisher.register(task.waker());
        if self.is_there() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Wake, Waker};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn the_publisher_is_woken_by_the_first_viewer_alone() {
        let (audience, count) = (Audience::default(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut woken = Vec::new();
        for is_there in [false, true, true, false, true] {
            let _ = audience.poll(&Task::from_waker(&waker));
            audience.set(is_there);
            assert_eq!(audience.poll(&Task::from_waker(&waker)).is_ready(), is_there);
            woken.push(count.0.load(Ordering::Relaxed));
        }
        assert_eq!(woken, [0, 1, 1, 1, 2]);
    }
}
