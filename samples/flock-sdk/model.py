"""A model of FLock's SDK as its users write it: logistic regression on the Breast Cancer Wisconsin (Diagnostic) table.

Plain Python, so that the image is small. Parameters are JSON bytes: bytes are all that anybody else sees of them.
"""
import json
import math

from flock_sdk import FlockModel, FlockSDK

EPOCHS = 50
LEARNING_RATE = 0.01
TEST_SHARE = 5  # every fifth record


class BreastCancer(FlockModel):
    def init_dataset(self, dataset_path):
        with open(dataset_path) as file:
            records = json.load(file)
        self.names = sorted(name for name in records[0] if name != "diagnosis")
        rows = [([float(record[name]) for name in self.names], record["diagnosis"] == "malignant") for record in records]
        self.train_rows = [row for i, row in enumerate(rows) if i % TEST_SHARE]
        self.test_rows = [row for i, row in enumerate(rows) if not i % TEST_SHARE]

    def fresh(self):
        """Round 0 starts from nothing. Every participant makes the same beginning of it."""
        return {"weights": [0.0] * len(self.names), "bias": 0.0}

    def load(self, parameters):
        model = json.loads(parameters) if parameters else self.fresh()
        if len(model["weights"]) != len(self.names):
            raise ValueError("these parameters are of another table")
        return model

    def scaled(self, features):
        # Sizes differ by orders of magnitude; a logarithm needs nobody's data to bring them together.
        return [math.log1p(x) for x in features]

    def probability(self, model, features):
        z = model["bias"] + sum(w * x for w, x in zip(model["weights"], self.scaled(features)))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))

    def train(self, parameters):
        model = self.load(parameters)
        for _ in range(EPOCHS):
            for features, label in self.train_rows:
                step = LEARNING_RATE * (label - self.probability(model, features))
                model["weights"] = [w + step * x for w, x in zip(model["weights"], self.scaled(features))]
                model["bias"] += step
        return json.dumps(model, sort_keys=True).encode()

    def evaluate(self, parameters):
        model = self.load(parameters)
        right = sum((self.probability(model, features) > 0.5) == label for features, label in self.test_rows)
        return right / len(self.test_rows)

    def aggregate(self, parameters_list):
        """Sums in the order given, then one division: every voter gets the same bytes."""
        models = [self.load(parameters) for parameters in parameters_list]
        mean = {
            "weights": [sum(column) / len(models) for column in zip(*(model["weights"] for model in models))],
            "bias": sum(model["bias"] for model in models) / len(models),
        }
        return json.dumps(mean, sort_keys=True).encode()


if __name__ == "__main__":
    # Without Flask's debugger: it starts a second process and shows a console to whoever causes an error.
    FlockSDK(BreastCancer(), debug=False).run()
