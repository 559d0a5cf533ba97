use protocol::{job::Step, types::Role};
use serde_json::json;

use crate::testing::{START, World, trained};

fn say(world: &World, job: &str, step: u64) {
    let word = json!({ "version": 1, "stage": "training", "epoch": 1, "epochs": 3, "steps": step, "loss": "0.71",
                       "recordsPerSecond": "52000", "expectedEnd": START + 60 });
    world.store.put_progress(&world.key.namespace, job, word.to_string());
}

#[tokio::test]
async fn what_a_running_job_says_is_in_the_status_within_ten_seconds_and_gone_with_the_job() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    let job = world.job(Step::Train).metadata.name.unwrap();
    world.put_pod(&job, json!({ "phase": "Running" }));
    world.reconcile().await.unwrap();
    assert_eq!(world.status().running, None, "it has said nothing yet");

    say(&world, &job, 100);
    let again = world.reconcile().await.unwrap();
    let running = world.status().running.unwrap();
    assert_eq!(
        (running.job.as_str(), running.stage.as_str()),
        (job.as_str(), "training")
    );
    assert_eq!(
        (running.epoch, running.epochs, running.steps),
        (Some(1), Some(3), Some(100))
    );
    assert_eq!(running.loss.as_deref(), Some("0.71"));
    assert!(again.is_some_and(|next| next.as_secs() <= 5), "{again:?}");

    world.succeed(Step::Train, trained());
    world.reconcile().await.unwrap();
    assert_eq!(world.status().running, None);
}

#[tokio::test]
async fn progress_is_written_at_most_every_five_seconds() {
    let world = World::drawn(Role::Proposer);
    world.reconcile().await.unwrap();
    let job = world.job(Step::Train).metadata.name.unwrap();
    world.put_pod(&job, json!({ "phase": "Running" }));
    let mut seen = Vec::new();
    for second in 0..=10 {
        world.clock.set(START + second);
        say(&world, &job, second);
        world.reconcile().await.unwrap();
        seen.push(world.status().running.unwrap().steps.unwrap());
    }
    assert_eq!(seen, [0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 10]);

    let writes = world.cluster.edit(|state| state.status_writes);
    world.clock.set(START + 17);
    world.reconcile().await.unwrap();
    assert_eq!(
        world.cluster.edit(|state| state.status_writes),
        writes,
        "the same word again"
    );
}
