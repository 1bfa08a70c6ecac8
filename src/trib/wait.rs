//! Waiting for nodes to get somewhere: look, and look again until it is so or the time is up.

use std::time::{Duration, Instant};

use super::error::{Error, What};
use super::ui::Ui;

/// What one look found.
pub enum Look<T> {
    Done(T),
    /// What is still missing, for the case that time runs out.
    NotYet(String),
}

/// Pauses between two looks: what is nearly so is not missed, what takes long is not asked for all the time. A look that
/// takes long itself is not repeated more often than half of the time.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(20);
/// The same where a look is cheap.
const CLOSE_PAUSE: Duration = Duration::from_millis(3);
const DOT_EVERY: Duration = Duration::from_secs(1);

/// Looks until `look` is done. Prints a dot for every second when there is a line for them. The error of
/// a wait that was in vain says what was still missing.
pub async fn until<T>(
    dots: Option<&Ui>,
    limit: Duration,
    look: impl AsyncFnMut() -> Result<Look<T>, Error>,
) -> Result<T, Error> {
    paced(dots, limit, LAST_PAUSE, look).await
}

/// The same for a look that costs the nodes next to nothing: it is repeated so often that hardly any time is lost.
pub async fn closely<T>(limit: Duration, look: impl AsyncFnMut() -> Result<Look<T>, Error>) -> Result<T, Error> {
    paced(None, limit, CLOSE_PAUSE, look).await
}

async fn paced<T>(
    dots: Option<&Ui>,
    limit: Duration,
    longest_pause: Duration,
    mut look: impl AsyncFnMut() -> Result<Look<T>, Error>,
) -> Result<T, Error> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut dots_shown = 0;
    loop {
        let looked = Instant::now();
        let missing = match look().await {
            Ok(Look::Done(result)) => return Ok(result),
            Ok(Look::NotYet(missing)) => missing,
            // A replica that takes its primary's data has nothing to say yet.
            Err(Error { what: What::Node(failure), .. }) if failure.is_loading() => failure.to_string(),
            Err(error) => return Err(error),
        };
        if started.elapsed() >= limit {
            return Err(Error::timed_out(format!("[ERR] not within {} s: {missing}", limit.as_secs_f64())));
        }
        if let Some(ui) = dots {
            let due = started.elapsed().as_millis() / DOT_EVERY.as_millis();
            while dots_shown < due {
                ui.part(".");
                dots_shown += 1;
            }
        }
        tokio::time::sleep(pause.max(looked.elapsed())).await;
        pause = (pause * 2).min(longest_pause);
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::{Failure, Kind};
    use super::*;

    fn in_runtime<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn a_wait_ends_when_it_is_so() {
        let mut looks = 0;
        let result = in_runtime(until(None, Duration::from_secs(60), async || {
            looks += 1;
            Ok(if looks == 3 { Look::Done("there") } else { Look::NotYet("no".to_owned()) })
        }));
        assert_eq!(result.unwrap(), "there");
        assert_eq!(looks, 3);
    }

    #[test]
    fn a_node_that_loads_is_waited_for() {
        let mut looks = 0;
        let result = in_runtime(until(None, Duration::from_secs(60), async || {
            looks += 1;
            let text = if looks == 1 { "LOADING Redis is loading the dataset in memory" } else { "ERR no" };
            Err::<Look<()>, _>(Failure::Reply { node: "h:1".parse().unwrap(), text: text.to_owned() }.into())
        }));
        assert!(matches!(result.unwrap_err().what, What::Node(Failure::Reply { text, .. }) if text == "ERR no"));
    }

    #[test]
    fn a_wait_in_vain_says_what_is_missing() {
        let error = in_runtime(until::<()>(None, Duration::from_millis(50), async || {
            Ok(Look::NotYet("h:1 does not know h:2".to_owned()))
        }))
        .unwrap_err();
        assert_eq!(error.kind, Kind::TimedOut);
        assert_eq!(
            error.what,
            super::super::error::What::Message("[ERR] not within 0.05 s: h:1 does not know h:2".into())
        );
    }
}
