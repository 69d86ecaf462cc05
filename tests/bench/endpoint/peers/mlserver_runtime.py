"""A runtime of MLServer for ONNX, which it does not bring:  mlserver start FOLDER, with mlserver_settings below FOLDER."""

import flights
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Flights(MLModel):
    async def load(self) -> bool:
        flights.load()
        self.names = [o.name for o in flights.session.get_outputs()]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feed = {}
        for t in payload.inputs:
            if t.datatype == "BYTES":
                feed[t.name] = np.array(StringCodec.decode_input(t), dtype=object).reshape(t.shape)
            else:
                feed[t.name] = NumpyCodec.decode_input(t)
        outputs = [NumpyCodec.encode_output(name, a) for name, a in zip(self.names, flights.session.run(self.names, feed))]
        return InferenceResponse(model_name=self.name, outputs=outputs)
