//! Accuracy over rounds, as a picture.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::prelude::*;

/// Draws `points` (round after which, accuracy from 0 to 1; -1 is the genesis model) as an SVG.
pub fn draw(path: &Path, title: &str, points: &[(i64, f64)]) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    paint(path, title, points)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("drawing {}", path.display()))
}

fn paint(path: &Path, title: &str, points: &[(i64, f64)]) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, (800, 450)).into_drawing_area();
    area.fill(&WHITE)?;
    let last = points.iter().map(|p| p.0).max().unwrap_or(0);
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 20))
        .margin(15)
        .x_label_area_size(45)
        .y_label_area_size(60)
        .build_cartesian_2d(-1.3f64..last as f64 + 0.4, 0f64..1f64)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE.mix(0.0))
        .x_labels(points.len() + 2)
        .x_label_formatter(&|x| match x.round() as i64 {
            _ if (x - x.round()).abs() > 0.01 => String::new(),
            -1 => "start".to_owned(),
            n => n.to_string(),
        })
        .y_label_formatter(&|y| format!("{:.0} %", y * 100.0))
        .x_desc("after round")
        .y_desc("held-out accuracy")
        .label_style(("sans-serif", 15))
        .axis_desc_style(("sans-serif", 16))
        .draw()?;
    let xy = || points.iter().map(|&(round, accuracy)| (round as f64, accuracy));
    chart.draw_series(LineSeries::new(xy(), BLUE.stroke_width(2)))?;
    chart.draw_series(xy().map(|point| Circle::new(point, 4, BLUE.filled())))?;
    chart.draw_series(xy().map(|(x, y)| {
        let above = (y + 0.07).min(0.97);
        Text::new(format!("{:.1}", y * 100.0), (x - 0.12, above), ("sans-serif", 14))
    }))?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_an_svg_with_a_point_per_round() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/accuracy.svg");
        draw(&path, "Held-out accuracy", &[(-1, 0.1), (0, 0.6), (1, 0.75)]).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.starts_with("<svg"), "{text}");
        assert_eq!(text.matches("<circle").count(), 3);
        assert!(text.contains("held-out accuracy") && text.contains("60.0"), "{text}");
    }
}
