//! `make demo`: six clients train Fashion-MNIST together over a task on a chain; one of them has bad labels.
#![forbid(unsafe_code)]

use std::{fs, process::ExitCode, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{
    cluster, data,
    devnet::Devnet,
    env,
    manifests::{self, TaskShape},
    picture,
    progress::Progress,
    shell::{build_dir, kubectl},
    site::Site,
    sweep,
    task::Team,
    trainer,
};

const NAMESPACE: &str = "demo";
const OPERATOR: &str = "fla-system";
const TASK: &str = "fashion";
/// Name of the data set.
const SET: &str = "demo";
const CLIENTS: usize = 6;
const RECORDS: usize = 4000;
/// This client's labels are permuted. Only its data differs.
const POISONED: usize = 5;
/// What the final model must reach on data nobody trained on.
const GOAL: f64 = 0.80;
/// Slow enough to see it learn, and a narrow band for votes: a model that got worse by more than a fiftieth is voted down.
fn shape() -> TaskShape {
    TaskShape {
        rounds: 6,
        epochs: 2,
        learning_rate: "0.02",
        epsilon: "0.02",
        ..TaskShape::default()
    }
}

/// Longest the task may take once it is applied.
const LIMIT: Duration = Duration::from_secs(900);

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter("warn")
        .with_writer(std::io::stderr)
        .init();
    match demo().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            let everything = [
                "get",
                "pods,jobs,fltasks,flclients,flrounds",
                "--all-namespaces",
                "-o",
                "wide",
            ];
            eprintln!("{}", kubectl(&everything).unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    let out = build_dir().join("demo");
    fs::create_dir_all(&out)?;
    println!(
        "Fashion-MNIST for {CLIENTS} clients, {RECORDS} records each; the labels of client-{POISONED} are permuted."
    );
    data::make(SET, CLIENTS, RECORDS, 10_000, &[POISONED])?;

    let client = cluster::client().await?;
    sweep::sweep(&client).await?;
    println!("Installing the chain (charts/fl-alliance-devnet) and the operator (charts/fl-alliance).");
    cluster::namespace(&client, NAMESPACE).await?;
    let devnet = Devnet::install(&client).await?;
    devnet.depot.upload(&env::data_dir().join(SET), SET)?;
    let team = Team::new(&client, NAMESPACE, TASK, SET, CLIENTS, shape());
    let (site, funded) = tokio::join!(
        Site::install(&client, &devnet, OPERATOR, &[NAMESPACE], true),
        team.fund(&devnet)
    );
    site?;
    funded?;

    let everything = team.manifests(&devnet);
    let file = out.join("manifests.json");
    fs::write(&file, serde_json::to_string_pretty(&everything)?)?;
    println!("kubectl apply -f {}", file.display());
    let definition = manifests::definition(&team.shape);
    let held_out = env::data_dir().join(SET).join("held-out");
    let chain = devnet.deployment.chain_id;
    let start = trainer::evaluate(&definition, None, &held_out)?.accuracy()?;
    let mut points = vec![(-1i64, start)];
    cluster::apply(&everything)?;

    let mut progress = Progress::new(&team);
    progress.line(&format!(
        "the genesis model has {:.2} % on {} held-out records",
        start * 100.0,
        10_000
    ));
    progress
        .follow(&team, LIMIT, &mut |round, model| {
            // A roll-back to the genesis model leaves no file: everybody derives it.
            let accuracy = match devnet.depot.stored(chain, model)? {
                Some(bytes) => trainer::evaluate(&definition, Some(&bytes), &held_out)?.accuracy()?,
                None => points.last().map_or(start, |p| p.1),
            };
            points.push((i64::from(round), accuracy));
            Ok(format!("{:.2} % held-out", accuracy * 100.0))
        })
        .await?;

    let picture = out.join("accuracy.svg");
    picture::draw(&picture, "Fashion-MNIST, six clients, one with bad labels", &points)?;
    println!("\nkubectl -n {NAMESPACE} get fltasks,flclients,flrounds");
    println!("{}", kubectl(&["-n", NAMESPACE, "get", "fltasks,flclients,flrounds"])?);
    println!("fl-alliance-operator chain compare --namespace {NAMESPACE} --task {TASK}");
    println!(
        "{}",
        devnet
            .compare(NAMESPACE, TASK)
            .await
            .context("chain and status differ")?
    );
    println!("accuracy over rounds: {}", picture.display());
    if std::env::var("KEEP").is_ok_and(|keep| keep == "1") {
        println!(
            "\nLeft up. eval \"$(e2e/cluster/env)\", then: kubectl -n {NAMESPACE} get flt,flc,flr\n\
             The chain: kubectl -n fla-devnet port-forward svc/devnet 8545"
        );
    }
    judge(&points)
}

/// The demo ends well only if something was learned.
fn judge(points: &[(i64, f64)]) -> Result<()> {
    let after_first = points.iter().find(|p| p.0 == 0).context("no round was settled")?.1;
    let last = points.last().context("no round was settled")?.1;
    ensure!(
        last >= GOAL,
        "the final model has {:.2} % held-out, {:.0} % were wanted",
        last * 100.0,
        GOAL * 100.0
    );
    ensure!(
        last > after_first,
        "accuracy did not rise after round 0: {after_first:.4}, then {last:.4}"
    );
    println!(
        "\nHeld-out accuracy rose from {:.2} % after round 0 to {:.2} %.",
        after_first * 100.0,
        last * 100.0
    );
    Ok(())
}
