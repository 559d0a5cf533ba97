"""Runs the sample of samples/flock-sdk as it is, but for two things a test cannot have: a file in the machine's root and a
fixed port. Arguments: the sample's folder, dataset.json. Prints the port."""
import sys

sample, dataset = sys.argv[1:]
sys.path.insert(0, sample)

from flock_sdk import FlockSDK  # noqa: E402
from model import BreastCancer  # noqa: E402
from werkzeug.serving import make_server  # noqa: E402


class Mounted(BreastCancer):
    def init_dataset(self, dataset_path):
        assert dataset_path == "/dataset.json", dataset_path
        super().init_dataset(dataset)


server = make_server("127.0.0.1", 0, FlockSDK(Mounted(), debug=False).flask, threaded=True)
print(server.port, flush=True)
server.serve_forever()
