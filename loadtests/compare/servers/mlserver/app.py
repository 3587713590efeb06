"""An ONNX runtime for MLServer, as its documentation writes custom runtimes."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from predictor import load


class Predictor(MLModel):
    async def load(self) -> bool:
        self._run = load()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        classes = self._run(NumpyCodec.decode_input(payload.inputs[0]))
        output = NumpyCodec.encode_output("classes", classes)
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=[output])
