//! A pull whose route was changed.

use actix::prelude::*;

use super::{Keep, PullRoute, State};
use crate::pull::backoff::Backoff;
use crate::pull::target::Target;

/// To a pull: its route is another now.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Retarget {
    pub(crate) target: Target,
    pub(crate) keep: Keep,
}

impl PullRoute {
    /// Goes to the new camera; viewers stay.
    pub(super) fn switch(&mut self, ctx: &mut Context<Self>) {
        self.backoff = Backoff::default();
        // It was the other camera's.
        self.status.set_error("");
        match &self.state {
            State::Live(_) => {
                let wanted = self.is_wanted();
                log::info!("{}: its route leads to {} now", self.path, self.target.address());
                self.close("its route was changed", wanted);
            }
            State::Waiting { timer, .. } => {
                let timer = *timer;
                ctx.cancel_future(timer);
            }
            // Goes on when the attempt is over.
            State::Connecting(_) => return,
            State::Idle => {}
        }
        if self.is_wanted() { self.connect(ctx) } else { self.idle() }
    }
}

impl Handler<Retarget> for PullRoute {
    type Result = ();

    fn handle(&mut self, Retarget { target, keep }: Retarget, ctx: &mut Self::Context) {
        self.keep = keep;
        if target != self.target {
            self.target = target;
            self.switch(ctx);
        } else if matches!(self.state, State::Idle) && self.is_kept() {
            self.connect(ctx);
        }
    }
}
