mod before_the_draw;
mod fixture;
mod jobs_and_pokes;
mod proposer;
mod voter;
