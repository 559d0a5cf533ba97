//! Whether the parts of a definition go together: found here, a mistake costs nothing on chain.

use super::{ColumnRole, Data, DefinitionDocument, DefinitionError, LabelKind, Loss, Metric, Precision, Scaling};
use crate::architecture::Architecture;

/// Most classes an AUROC is computed for: every test record's probabilities are kept.
const MAX_AUROC_CLASSES: u64 = 1000;

impl DefinitionDocument {
    /// Number of classes; `None` if the label is a number.
    pub fn classes(&self) -> Option<u32> {
        match &self.data {
            Some(data) => data
                .classes()
                .map(|names| u32::try_from(names.len()).unwrap_or(u32::MAX)),
            None if self.training.loss() == Loss::BinaryCrossEntropy => Some(2),
            None => Some(self.architecture.outputs()),
        }
    }

    pub(super) fn check_fit(&self) -> Result<(), DefinitionError> {
        self.check_inputs()?;
        self.check_loss()?;
        self.check_metric()?;
        if self.training.precision == Some(Precision::Bf16) && matches!(self.architecture, Architecture::Torchscript(_))
        {
            return unfit(
                "training.precision bf16 is not for torchscript: a module computes in the types it was made with",
            );
        }
        if self.weights.is_some() && matches!(self.architecture, Architecture::Torchscript(_)) {
            return unfit(
                "weights is not for torchscript: there each of architecture.torchscript.tensors has its dtype",
            );
        }
        self.check_privacy()
    }

    /// What is learnt of the records beside their gradients would be private only in name.
    fn check_privacy(&self) -> Result<(), DefinitionError> {
        if self.training.privacy.is_none() {
            return Ok(());
        }
        if matches!(self.architecture, Architecture::Torchscript(_)) {
            return unfit("training.privacy is not for torchscript: what a module keeps of records cannot be known");
        }
        let Some(Data::Table(table)) = &self.data else {
            return Ok(());
        };
        let fitted = table.columns.iter().find(
            |column| matches!(&column.role, ColumnRole::Number(number) if matches!(number.scaling, Scaling::Fitted(_))),
        );
        match fitted {
            Some(column) => unfit(format!(
                "training.privacy needs fixed scaling or none: column {:?} is scaled by what its values are",
                column.name
            )),
            None => Ok(()),
        }
    }

    fn check_inputs(&self) -> Result<(), DefinitionError> {
        let inputs = self.architecture.inputs();
        match &self.data {
            Some(Data::Table(table)) => {
                if self.preprocessing.is_some() {
                    return unfit("preprocessing is of pixels: a table's columns say themselves how they are scaled");
                }
                if self.architecture.image().is_some() {
                    return unfit("this architecture takes images, but data is a table");
                }
                if table.width() != inputs {
                    return unfit(format!(
                        "the table's columns make {} inputs (one for a number, one for each category), but the \
                         architecture takes {inputs}",
                        table.width()
                    ));
                }
            }
            Some(Data::Images(images)) => {
                let size = [images.channels, images.height, images.width];
                let pixels = size.iter().map(|&n| u64::from(n)).product::<u64>();
                if self.architecture.image().is_some_and(|taken| taken != size) || pixels != inputs {
                    return unfit(format!(
                        "data.images has {} x {} pixels with {} channels, which is not what the architecture takes",
                        images.height, images.width, images.channels
                    ));
                }
            }
            None => {}
        }
        if self.preprocessing.is_none() && !matches!(self.data, Some(Data::Table(_))) {
            return unfit("missing field `preprocessing`: images need it");
        }
        Ok(())
    }

    fn check_loss(&self) -> Result<(), DefinitionError> {
        let (loss, outputs) = (self.training.loss(), self.architecture.outputs());
        let fits = match (loss, self.classes()) {
            (Loss::CrossEntropy, Some(classes)) => classes >= 2 && classes == outputs,
            (Loss::BinaryCrossEntropy, Some(classes)) => classes == 2 && outputs == 1,
            (Loss::MeanSquaredError, None) => outputs == 1,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        let label = match self.classes() {
            Some(classes) => format!("{classes} classes"),
            None => "a number as label".to_owned(),
        };
        unfit(format!(
            "training.loss {} does not fit {label} and {outputs} outputs: crossEntropy needs an output for each of two or \
             more classes, binaryCrossEntropy one output for two classes, meanSquaredError one output for a number",
            loss.as_str()
        ))
    }

    fn check_metric(&self) -> Result<(), DefinitionError> {
        let metric = self.evaluation.metric;
        let problem = match (metric, self.classes()) {
            (Metric::Loss, _) | (Metric::Accuracy | Metric::MacroF1, Some(_)) | (Metric::Rmse, None) => return Ok(()),
            (Metric::Auroc, Some(classes)) if u64::from(classes) <= MAX_AUROC_CLASSES => return Ok(()),
            (Metric::F1, Some(2)) => return Ok(()),
            (Metric::F1, Some(_)) => "f1 is of two classes; for more there is macroF1",
            (Metric::Auroc, Some(_)) => "auroc is for at most 1000 classes",
            (Metric::Rmse, Some(_)) => "rmse is for a label that is a number",
            (_, None) => "it is of classes, but the label is a number: rmse and loss are for that",
        };
        unfit(format!("evaluation.metric {}: {problem}", metric.as_str()))
    }
}

impl Data {
    /// How a label that is a number is scaled for the network; 0 and 1 for anything else.
    pub fn label_scale(&self) -> (f64, f64) {
        match self {
            Self::Table(table) => match &table.label.kind {
                LabelKind::Number(scale) => (scale.mean.to_f64(), scale.std.to_f64()),
                LabelKind::Class(_) => (0.0, 1.0),
            },
            Self::Images(_) => (0.0, 1.0),
        }
    }
}

fn unfit(message: impl Into<String>) -> Result<(), DefinitionError> {
    Err(DefinitionError::Fit(message.into()))
}
